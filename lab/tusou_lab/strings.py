"""Texts of reports and sweeps in Chinese and English."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["zh", "en"]
Strings: TypeAlias = Mapping[str, str]

# Metric names are the same in both languages.
_STRINGS: Mapping[str, tuple[str, str]] = {
    # Sweeps
    "sweep_title": ("参数实验", "Parameter sweep"),
    "sweep_base": (
        (
            "模型 {model}，{queries} 条查询，{items} 张图片。"
            "每组实验只改变一项设置，其余设置保持为：{base}。"
        ),
        (
            "Model {model}, {queries} queries, {items} images. Each experiment changes one "
            "setting; the others stay at: {base}."
        ),
    ),
    "experiment_prompt": ("提示词模板", "Prompt templates"),
    "experiment_pool": ("图库大小", "Pool size"),
    "experiment_top_k": ("返回结果数 k", "Number of results k"),
    "experiment_index": ("索引类型", "Index type"),
    "experiment_precision": ("查询编码精度", "Query precision"),
    "about_prompt": (
        "查询填入模板后再编码；“全部模板平均”取各模板向量的均值并重新归一化。",
        (
            "Each query is encoded inside the template. The mean is the normalised mean of its "
            "vectors under all templates."
        ),
    ),
    "about_pool": (
        (
            "从图库中随机抽取图片，并只保留在样本中有正确图片的查询；较小的样本是较大样本的子集。"
            "图库越大，干扰图片越多，检索越难。"
        ),
        (
            "Nested random samples of the images, each with the queries that have a correct image "
            "in it: more images mean more distractors."
        ),
    ),
    "about_top_k": (
        "只取前 k 个结果时各项指标的变化。",
        "The metrics of the first k results.",
    ),
    "about_index": (
        (
            "近似索引与精确检索的对比。index_recall@10 衡量索引找回了多少真正的最近邻，"
            "与结果是否正确无关，因此单独列表。"
        ),
        (
            "Approximate indexes compared with exact search. index_recall@10 is the share of the "
            "true nearest neighbours that an index returns, not of the correct items, so it has a "
            "table of its own."
        ),
    ),
    "about_precision": (
        "文本塔的计算精度；图片向量取自索引包，保持不变。",
        "The precision of the text tower; the image vectors are those of the bundle.",
    ),
    "axis_pool": ("图库大小（张）", "images in the pool"),
    "axis_top_k": ("k", "k"),
    "percent": ("百分比", "percent"),
    "no_template": ("（无模板）", "(no template)"),
    "ensemble": ("（全部模板平均）", "(mean of all)"),
    "setting": ("设置", "setting"),
    "interval": ("95% 置信区间", "95 % interval"),
    "index_recall@10": ("index_recall@10 (%)", "index_recall@10 (%)"),
    "ms_a_query": ("每条查询（毫秒）", "ms per query"),
    "seconds_to_build": ("建索引（秒）", "build time (s)"),
    "least_cosine_to_base": ("与基准的最小余弦", "minimum cosine to the base"),
    # Sections of reports
    "title": ("中文图文检索实验报告", "Chinese image retrieval report"),
    "contents": ("目录", "Contents"),
    "task": ("检索任务", "Task"),
    "task_text_to_image": (
        ("用 {queries} 条中文查询在{pool}中检索相符的图片，每条查询返回相似度最高的 {depth} 张。"),
        (
            "For each of {queries} Chinese queries, find matching images among {pool}; the "
            "{depth} most similar images are returned."
        ),
    ),
    "task_image_to_text": (
        "用 {queries} 张图片在{pool}中检索描述它的文本，每张图片返回相似度最高的 {depth} 条。",
        (
            "For each of {queries} images, find the Chinese texts that describe it among {pool}; "
            "the {depth} most similar texts are returned."
        ),
    ),
    "pool_text_to_image": (" {items} 张图片", "{items} images"),
    "pool_image_to_text": (" {items} 条中文文本", "{items} texts"),
    "unknown_pool_text_to_image": ("图库", "the images of the pool"),
    "unknown_pool_image_to_text": ("文本库", "the texts of the pool"),
    "metric_definitions": (
        (
            "Recall@K：前 K 个结果中至少有一个正确结果的查询所占的比例（MUGE 写作 R@K，"
            "本工具的命令写作 hit@K）；"
            "平均召回率：Recall@1、Recall@5、Recall@10 的平均值。"
            "方括号内为对查询做自助法抽样得到的 95% 置信区间。"
        ),
        (
            "Recall@K: share of queries with at least one correct item among the first K results "
            "(MUGE writes R@K, the commands of this tool hit@K); mean recall: mean of Recall@1, "
            "Recall@5 and Recall@10. Brackets hold the 95 % bootstrap interval over the queries."
        ),
    ),
    "mean_recall_name": ("平均召回率", "mean recall"),
    "set_recall_name": ("前 {k} 个找回的正确结果比例", "share of correct items found, first {k}"),
    "other_metrics": ("其他指标", "Other metrics"),
    "other_metrics_text": (
        "下列指标的定义与 Recall@K 不同，不能与它直接比较。",
        "These are defined differently from Recall@K and are not to be compared with it.",
    ),
    "abstract": ("摘要", "Abstract"),
    "abstract_scale": ("1", "4"),  # English takes about four times the characters
    "abstract_model": ("图文模型", "an image-text model"),
    "abstract_method": (
        "本实验用 {model} 把图片与文本编码到同一向量空间，按余弦相似度做中文图文检索。",
        (
            "Images and Chinese texts are encoded by {model} into one vector space and searched by "
            "cosine similarity. "
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
    "method": ("方法", "Method"),
    "method_text": (
        (
            "同一模型的图像塔和文本塔把图片与查询编码为单位向量，内积即余弦相似度，"
            "结果按相似度从高到低排列。评测所用的检索流程与线上服务相同。"
        ),
        (
            "The image tower and the text tower of one model encode images and queries as unit "
            "vectors. Their inner product is the cosine similarity, and results are ranked by it. "
            "The evaluation runs the same search pipeline as the service."
        ),
    ),
    "method_space": ("共享向量空间", "The shared space"),
    "method_space_text": (
        (
            "模型由图像塔和文本塔组成。"
            "图像塔（ViT 或 ResNet）把图片编码为向量，文本塔（中文 RoBERTa）"
            "把文本编码为同样维数的向量；"
            "两个向量都除以自身的长度（L2 归一化），落在同一个单位球面上。"
            "相符的图片和文本方向相近，所以可以直接用内积比较图片与文本。"
        ),
        (
            "The model has two towers. The image tower (a ViT or ResNet) encodes an image as a "
            "vector, the text tower (a Chinese RoBERTa) encodes a text as a vector of the same "
            "dimension, and both are divided by their length (L2 normalisation), so that they lie "
            "on one unit sphere. An image and a text that fit point in similar directions and can "
            "be compared by their inner product."
        ),
    ),
    "method_contrastive": ("对比学习", "Contrastive learning"),
    "method_contrastive_text": (
        (
            "训练时每批取 N 对图文，计算 N×N 个相似度并乘以可学习的温度系数。"
            "每段文本要从 N 张图片中选出自己的图片，"
            "每张图片也要从 N 段文本中选出自己的文本，损失是两个方向交叉熵的平均值（InfoNCE）："
            "成对的图文被拉近，同批中不成对的被推远。"
        ),
        (
            "A batch holds N pairs. Their N×N similarities are multiplied by a learned "
            "temperature; every text has to pick its image among N, and every image its text. The "
            "loss is the mean of both cross entropies (InfoNCE): pairs are pulled together, other "
            "combinations of the batch are pushed apart."
        ),
    ),
    "method_search": ("检索流程", "The search"),
    "flow_images": ("图片\n{n} 张", "images\n{n}"),
    "flow_decode": ("解码、缩放\n{side}×{side}", "decode, resize\n{side}×{side}"),
    "flow_image_tower": ("图像塔\n{model}", "image tower\n{model}"),
    "flow_queries": ("查询\n{n} 条", "queries\n{n}"),
    "flow_texts": ("文本\n{n} 条", "texts\n{n}"),
    "flow_prompt": ("提示词\n{prompt}", "prompt\n{prompt}"),
    "flow_text_tower": ("文本塔\n{model}", "text tower\n{model}"),
    "flow_search": ("向量检索\n{index}", "search\n{index}"),
    "flow_score": ("评分\nRecall@K", "score\nRecall@K"),
    "data": ("数据与划分", "Data and split"),
    "splits": ("数据划分", "Splits"),
    "split": ("划分", "split"),
    "split_counts": ("{images} 张图片，{queries} 条查询", "{images} images, {queries} queries"),
    "judged_images": ("有查询的图片数", "images that queries name"),
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
    "settings_text": (
        (
            "图片缩放为正方形，按模型的均值和方差标准化；文本转为小写、统一引号后分词。"
            "所有向量都做 L2 归一化。图片向量建库时计算一次，存入索引包，之后的查询不再编码图片；"
            "查询向量也会缓存，同样的文本只编码一次。"
        ),
        (
            "Images are resized to squares and standardised by the model's mean and deviation; "
            "texts are lower-cased, their quotes unified, and tokenised. All vectors are L2 "
            "normalised. Image vectors are computed once and kept in the bundle; query vectors are "
            "cached, so that no text is encoded twice."
        ),
    ),
    "training": ("训练", "Training"),
    "training_text": (
        (
            "{name} 由 {base} 在 {pairs} 条查询上训练 {epochs} 轮而来："
            "损失从 {first:.3f} 降到 {last:.3f}，"
            "第 {best} 轮在验证集上最好，平均召回率 {recall:.2f}%，保存的是这一轮。"
        ),
        (
            "{name} was trained from {base} on {pairs} queries for {epochs} epochs: the loss went "
            "from {first:.3f} to {last:.3f}. Epoch {best} is the best on valid, with a mean recall "
            "of {recall:.2f} %, and was kept."
        ),
    ),
    "training_seconds": ("训练用时（秒）", "training time (s)"),
    "loss": ("损失", "loss"),
    "loss_curve": ("训练损失曲线", "Training loss"),
    "recall_curve": ("每轮在验证集上的召回率", "Recall on valid after each epoch"),
    "step": ("步", "step"),
    "epoch": ("轮", "epoch"),
    "settings": ("预处理与设置", "Preprocessing and settings"),
    "machine": ("机器与耗时", "Machine and time"),
    "results": ("结果", "Results"),
    "metric": ("指标", "metric"),
    "text_to_image": ("以文搜图", "text → image"),
    "image_to_text": ("以图搜文", "image → text"),
    "run_heading": ("{name}（{direction}）", "{name} ({direction})"),
    "comparison": ("对比", "Comparison"),
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
    "difference": ("B − A", "B − A"),
    "examples": ("成功与失败示例", "Successes and failures"),
    "examples_text": (
        "按固定间隔抽取，未经挑选。绿框表示正确结果；最右侧是一个正确结果，其名次标在查询旁。",
        (
            "Sampled at even distances, not selected. Green frames mark correct results. The last "
            "item of a row is correct; its rank is shown with the query."
        ),
    ),
    "no_images": (
        "未指定索引包，因此不显示图片；请用 --bundle 指定检索所用的索引包。",
        "Images are not shown; give the bundle that was searched as --bundle.",
    ),
    "successes": ("成功：第一个结果正确", "Successes: the first result is correct"),
    "failures": (
        "失败：前 {depth} 个结果均不正确",
        "Failures: none of the first {depth} results is correct",
    ),
    "no_failures": ("没有失败的查询。", "No query failed."),
    "worst_ranks": (
        "名次最靠后的查询",
        "The queries whose correct result has the worst rank",
    ),
    "all_first": (
        "所有查询的第一个结果都正确。",
        "The first result is correct for every query.",
    ),
    "no_successes": ("没有成功的查询。", "No query succeeded."),
    "query": ("查询", "query"),
    "rank": ("第 {rank} 名", "rank {rank}"),
    "rank_of": ("第 {rank} 名（共 {of} 项）", "rank {rank} of {of}"),
    "rank_beyond": ("未进入前 {depth} 名", "not in the first {depth}"),
    "no_answer": ("没有标注正确结果", "no correct item is known"),
    "errors": ("误差分析", "Error analysis"),
    "errors_text": (
        "各类查询的{metric}。横线为 95% 置信区间，虚线为全部查询的平均值，n 为查询数。",
        (
            "{metric} by kind of query. Lines show the 95 % interval, the dashed line marks the "
            "mean over all queries, n is the number of queries."
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
    "no_slices": (
        "查询在长度、正确结果数、类别、语言和否定上都属于同一组，无法分组比较。",
        "All queries are of one kind in length, correct items, category, language and negation.",
    ),
    "slices_equal": (
        "没有哪一组比全部查询低 0.5 个百分点以上。",
        "No slice is half a point or more below all queries.",
    ),
    "slice_length": ("长度为 {label} 个字符的查询", "queries of {label} characters"),
    "slice_positives": (
        "有 {label} 个正确结果的查询",
        "queries with {label} correct items",
    ),
    "slice_category": ("“{label}”类查询", "queries of the category {label}"),
    "slice_language": ("{label}查询", "queries in the language class {label}"),
    "slice_negation": ("{label}的查询", "queries of the kind: {label}"),
    "improve": ("改进方向", "Ways to improve"),
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
    "notes": ("作者的说明", "The author's notes"),
    "code": ("关键代码", "Key code"),
    "code_text": (
        "归一化、检索、Recall@K 和对比损失的核心计算。",
        "The core of normalisation, search, Recall@K and the contrastive loss.",
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
    "by_length": ("按查询长度（字符数）", "By query length (characters)"),
    "by_positives": ("按正确结果的个数", "By number of correct items"),
    "by_category": ("按类别", "By category"),
    "by_language": ("按语言", "By language"),
    "by_negation": ("按是否含否定", "By negation"),
    "misses": ("近似失误与重复图片", "Near misses and duplicates"),
    "misses_text": (
        (
            "第一个结果不正确时，正确结果往往紧随其后；有时排在第一的结果与正确结果几乎相同，"
            "只是编号不同（向量余弦相似度不低于 {same}）。"
        ),
        (
            "When the first result is wrong, a correct item often follows closely. Sometimes the "
            "first result duplicates a correct item under another id (cosine similarity of at "
            "least {same})."
        ),
    ),
    "first_correct_rank": ("第一个正确结果的名次", "rank of the first correct result"),
    "share_of_queries": ("查询占比 (%)", "share of queries (%)"),
    "near_misses": (
        "近似失误：第一个正确结果在第 2–5 名",
        "Near misses: the first correct result has rank 2 to 5",
    ),
    "no_near_misses": ("没有近似失误。", "There are no near misses."),
    "duplicates": (
        "第一个结果与正确结果几乎相同",
        "The first result duplicates a correct item",
    ),
    "duplicates_count": (
        "{wrong} 条查询的第一个结果不正确，其中 {duplicates} 条的第一个结果与正确结果几乎相同。",
        (
            "The first result is wrong for {wrong} queries; for {duplicates} of them it duplicates "
            "a correct item."
        ),
    ),
    "duplicates_unknown": (
        "未指定索引包，因此无法检查重复图片；请用 --bundle 指定检索所用的索引包。",
        "Duplicates were not checked; give the bundle that was searched as --bundle.",
    ),
    "curves": ("参数曲线", "Parameter sweep"),
    "reproduce": ("复现命令", "Commands to reproduce"),
    "reproduce_text": (
        "在本报告所在的文件夹中粘贴以下命令，即可重新生成本报告。",
        "Pasted in the folder of this report, these commands generate it again.",
    ),
    "generated_by": (
        "由 Tusou {version} 于 {date} 生成",
        "Generated by Tusou {version} on {date}",
    ),
    # Rows of the tables about data, settings and machine
    "none": ("无", "none"),
    "unknown": ("未记录", "not recorded"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    "queries": ("查询数", "queries"),
    "items": ("图库大小", "pool size"),
    "positives": ("每条查询的正确结果数（平均）", "correct items per query (mean)"),
    "without_answer": ("没有正确结果的查询", "queries without a correct item"),
    "outside": ("不在图库中的正确结果", "correct items outside the pool"),
    "length": ("查询长度（最短 / 中位数 / 最长）", "query length (min / median / max)"),
    "failed": ("无法读取的图片", "images that cannot be read"),
    "source": ("图库文件", "pool"),
    "answers": ("答案文件", "answers file"),
    "model": ("模型", "model"),
    "weights": ("权重 SHA-256", "SHA-256 of the weights"),
    "dim": ("向量维数", "dimensions"),
    "preprocessing": ("图片预处理", "image preprocessing"),
    "prompt": ("提示词", "prompt"),
    "interpret": ("理解否定", "refusals interpreted"),
    "precision": ("查询编码精度", "query precision"),
    "index": ("索引", "index"),
    "bundle": ("索引包版本", "bundle version"),
    "machine_row": ("机器", "machine"),
    "date": ("日期", "date"),
    "seconds": ("检索用时（秒）", "search time (s)"),
    "report_machine": (
        "本报告在 {machine} 上生成，分析与取图用时 {seconds:.1f} 秒。",
        "This report was generated on {machine}; the analysis took {seconds:.1f} s.",
    ),
    "build": ("建库", "build"),
    "image_size": ("输入边长（像素）", "input size (pixels)"),
    # Labels of slices, as tusou.evaluation.slices names them
    "Chinese": ("中文", "Chinese"),
    "Chinese with Latin letters": ("中文夹拉丁字母", "Chinese with Latin letters"),
    "Latin letters": ("拉丁字母", "Latin letters"),
    "neither": ("其他", "neither"),
    "refuses something": ("含否定", "refuses something"),
    "refuses nothing": ("不含否定", "refuses nothing"),
}


def strings_in(language: Language) -> Strings:
    """Return all texts in a language, by key."""
    column = ("zh", "en").index(language)
    return {key: texts[column] for key, texts in _STRINGS.items()}
