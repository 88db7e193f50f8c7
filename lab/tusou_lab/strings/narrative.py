"""Strings of sentences that a report derives from its figures."""

NARRATIVE = {
    "abstract": ("摘要", "Abstract"),
    "abstract_scale": ("1", "4"),  # English takes about four times the characters
    "abstract_model": ("图文模型", "an image-text model"),
    "abstract_method": (
        "本实验用 {model} 把图片与文本编码到同一向量空间，按余弦相似度做{language}图文检索。",
        (
            "Images and {language}texts are encoded by {model} into one vector space and searched "
            "by cosine similarity. "
        ),
    ),
    "abstract_pool": ("在 {items} 个条目中，", "Among {items} items, "),
    "abstract_result": (
        "{pool}{queries} 条{direction}查询的 Recall@{depths} 为 {values}%，平均 {mean}%。",
        (
            "{pool}{queries} queries ({direction}) reach a Recall@{depths} of {values} %, on "
            "average {mean} %. "
        ),
    ),
    "abstract_other": ("{direction}平均 {mean}%。", "For {direction} the average is {mean} %. "),
    "abstract_weak": (
        "{worst}最弱，低 {difference} 个百分点。",
        "Weakest are {worst}, {difference} points below the average. ",
    ),
    "abstract_near": (
        "首位出错的查询中，{share}% 的正确结果在前五名。",
        "Of the queries with a wrong first result, {share} % have a correct one up to rank 5. ",
    ),
    "abstract_intervals": (
        "各项指标附 95% 置信区间。",
        "All figures come with 95 % intervals. ",
    ),
    "abstract_commands": (
        "文末列出复现命令与关键代码。",
        "The commands and the key code are at the end. ",
    ),
    "abstract_examples": (
        "报告还给出成功与失败示例及误差分析。",
        "The report shows successes and failures and analyses the errors. ",
    ),
    "abstract_same": (
        "评测流程与线上服务相同。",
        "The evaluation runs the pipeline of the service. ",
    ),
    "english_warning": (
        (
            "注意：{share:.0f}% 的查询是英文，而模型是用中文训练的，对英文理解有限；"
            "应改用中文描述（例如 Flickr8k-CN），否则分数会明显偏低。"
        ),
        (
            "Note: {share:.0f} % of the queries are English, and the model was trained on Chinese "
            "texts. Use Chinese captions (such as Flickr8k-CN); the scores are too low otherwise."
        ),
    ),
    "training_text": (
        (
            "{name} 由 {base} 在 {pairs} 条查询上训练 {epochs} 轮而来："
            "损失从 {first:.3f} 变为 {last:.3f}，"
            "第 {best} 轮在验证集上最好，平均召回率 {recall:.2f}%，保存的是这一轮。"
        ),
        (
            "{name} was trained from {base} on {pairs} queries for {epochs} epochs: the loss went "
            "from {first:.3f} to {last:.3f}. Epoch {best} is the best on valid, with a mean recall "
            "of {recall:.2f} %, and was kept."
        ),
    ),
    "training_kept_start": (
        (
            "{name} 由 {base} 在 {pairs} 条查询上训练 {epochs} 轮，没有一轮在验证集上胜过原模型"
            "（平均召回率 {recall:.2f}%），保存的是训练前的权重。"
        ),
        (
            "{name} was trained from {base} on {pairs} queries for {epochs} epochs, none of which "
            "was better on valid than the model at the start, with a mean recall of {recall:.2f} "
            "%. Its weights were kept."
        ),
    ),
    "comparing": ("{a}（A）与 {b}（B）", "{a} (A) and {b} (B)"),
    "verdict_better": (
        "结论：{winner} 优于 {loser}。",
        "Verdict: {winner} is better than {loser}. ",
    ),
    "verdict_equal": (
        "结论：A 与 B 没有显著差异。",
        "Verdict: A and B are not distinguishable. ",
    ),
    "verdict_figures": (
        (
            "A 的 {metric} 为 {a:.2f}%，B 为 {b:.2f}%，相差 {difference:+.2f} 个百分点"
            "（95% 置信区间 {low:+.2f} 至 {high:+.2f}，经 Holm 校正后 p = {p:.4f}）。"
        ),
        (
            "{metric} is {a:.2f} % for A and {b:.2f} % for B, a difference of {difference:+.2f} "
            "points (95 % interval {low:+.2f} to {high:+.2f}, p = {p:.4f} after Holm's correction)."
        ),
    ),
    "wins": (
        "按 {metric} 比较：{wins} 条查询 B 更好，{losses} 条 A 更好，{ties} 条相同。",
        "By {metric}, B is better for {wins} queries and A for {losses}; {ties} are equal.",
    ),
    "changed": (
        "下表列出变化最大的查询，以及第一个正确结果在 A、B 中的名次（–：未出现）。",
        (
            "The queries that changed most, with the rank of the first correct item in A and in B "
            "(–: not among the results)."
        ),
    ),
    "slices_differ": (
        (
            "{worst}最差，{metric}为 {value:.1f}%（n = {queries}），"
            "比全部查询低 {difference:.1f} 个百分点；"
            "{best}最好，为 {best_value:.1f}%。"
        ),
        (
            "Worst are {worst}: {metric} is {value:.1f} % (n = {queries}), {difference:.1f} points "
            "below all queries. Best are {best} with {best_value:.1f} %. "
        ),
    ),
    "slices_certain": (
        "它的置信区间低于总体平均值，差距不只是抽样误差。",
        "The interval lies below the mean of all: this is more than chance.",
    ),
    "slices_uncertain": (
        "它的置信区间包含总体平均值，差距可能只是抽样误差。",
        "The interval includes the mean of all: this may be chance.",
    ),
    "slices_equal": (
        "没有哪一组比全部查询低 0.5 个百分点以上。",
        "No slice is half a point or more below all queries.",
    ),
    "improve_in": ("{run}：", "{run}: "),
    "improve_slice": (
        "{worst}得分最低，应检查这类查询的标注，并为它补充训练数据。",
        "check the judgments of {worst}, which score lowest, and add training data for them.",
    ),
    "improve_rerank": (
        "首位出错的查询中 {share:.0f}% 的正确结果已在前五名，对前几名重排序最可能见效。",
        (
            "{share:.0f} % of the queries with a wrong first result have a correct one up to rank "
            "5: reranking the first results is the most promising step."
        ),
    ),
    "improve_duplicates": (
        "有排在首位的图片与正确图片重复，应先去重或合并标注，再比较模型。",
        "first results duplicate correct images: remove duplicates before models are compared.",
    ),
    "improve_english": (
        "把英文描述换成中文，或换用支持英文的模型。",
        "use Chinese captions in place of English ones, or a model for English.",
    ),
    "improve_prompt": (
        (
            "使用提示词“{prompt}”（建库时用 --prompt），"
            "平均召回率可提高 {gain:.2f} 个百分点，需在另一份数据上确认。"
        ),
        (
            "The prompt {prompt} (tusou index --prompt) adds {gain:.2f} points of mean recall; "
            "confirm it on other data."
        ),
    ),
    "improve_train": (
        "模型没有在本数据上训练的记录：用 tusou train 在训练集上微调，再用验证集比较。",
        "No training on this data is recorded: fine-tune with tusou train, and compare on valid.",
    ),
    "improve_epochs": (
        "最后一轮在验证集上最好，说明还没有收敛，可以增加轮数。",
        "The last epoch is the best on valid: train for more epochs.",
    ),
    "improve_overfit": (
        "最好的一轮之后验证分数不再上升，应减小学习率或增加训练数据。",
        "Valid no longer improves after the best epoch: lower the learning rate, or add data.",
    ),
    "improve_model": (
        "换用更大的模型（如 ViT-L-14、ViT-H-14）通常能提高召回率，代价是编码更慢。",
        "A larger model (ViT-L-14, ViT-H-14) usually finds more and encodes more slowly.",
    ),
    "improve_model_other": (
        "换用同系列更大的模型通常能提高召回率，代价是编码更慢。",
        "A larger model of the same family usually finds more and encodes more slowly.",
    ),
    "explored": ("自主探索：", "Own exploration: "),
    "explored_prompt": (
        "比较了多种提示词，“{prompt}”最好，平均召回率提高 {gain:.2f} 个百分点。",
        "of all prompts compared, {prompt} is the best, {gain:.2f} points of mean recall more. ",
    ),
    "explored_no_prompt": (
        "比较了多种提示词，没有一种优于当前设置。",
        "of all prompts compared, none is better than the present one. ",
    ),
    "explored_pool": (
        (
            "图库从 {small} 张增加到 {large} 张时，"
            "平均召回率从 {small_value:.1f}% 变为 {large_value:.1f}%。"
        ),
        (
            "From {small} to {large} images, mean recall goes from {small_value:.1f} % to "
            "{large_value:.1f} %."
        ),
    ),
}
