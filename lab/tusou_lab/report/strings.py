"""The report's words, in Chinese and in English."""

REPORT: dict[str, tuple[str, str]] = {
    "title": ("中文图文检索实验报告", "Chinese image search: a report"),
    "contents": ("目录", "Contents"),
    "asked": ("问题", "What was asked"),
    "asked_text_to_image": (
        (
            "给出 {queries} 条中文查询，在{pool}中找出与之相符的图片，"
            "每条查询返回相似度最高的 {depth} 张。"
        ),
        (
            "Given {queries} Chinese queries, find the images they mean among {pool}; "
            "the {depth} best are returned for each."
        ),
    ),
    "asked_image_to_text": (
        (
            "给出 {queries} 张图片，在{pool}中找出描述它的文本，"
            "每张图片返回相似度最高的 {depth} 条。"
        ),
        (
            "Given {queries} images, find the Chinese texts that describe them among {pool}; "
            "the {depth} best are returned for each."
        ),
    ),
    "pool_text_to_image": (" {items} 张图片", "{items}"),
    "pool_image_to_text": (" {items} 条中文文本", "{items}"),
    "unknown_text_to_image": ("图库", "those of the pool"),
    "unknown_image_to_text": ("文本库", "those of the pool"),
    "metric_hit": (
        (
            "hit@k：前 k 个结果中至少有一个正确的查询所占比例（MUGE 评测所说的 R@k）；"
            "mean_recall：hit@1、hit@5、hit@10 的平均。方括号内为 95% 自助法置信区间。"
        ),
        (
            "hit@k: share of queries with at least one correct item among the first k (what MUGE's "
            "scorer calls R@k); mean_recall: mean of hit@1, hit@5 and hit@10. In brackets: 95 % "
            "bootstrap interval over the queries."
        ),
    ),
    "method": ("方法", "Method"),
    "method_text": (
        (
            "图片与查询由同一模型的两个塔编码为单位向量，内积即余弦相似度，按相似度从高到低返回。"
            "评测所用的检索流程与线上服务相同。"
        ),
        (
            "The two towers of one model encode images and queries as unit vectors; their inner "
            "product is the cosine, and items are returned by it. What was measured is the "
            "pipeline that the service runs."
        ),
    ),
    "flow_images": ("图片\n{n} 张", "images\n{n}"),
    "flow_decode": ("解码、缩放\n{side}×{side}", "decode, resize\n{side}×{side}"),
    "flow_image_tower": ("图像塔\n{model}", "image tower\n{model}"),
    "flow_queries": ("查询\n{n} 条", "queries\n{n}"),
    "flow_texts": ("文本\n{n} 条", "texts\n{n}"),
    "flow_prompt": ("提示词\n{prompt}", "prompt\n{prompt}"),
    "flow_text_tower": ("文本塔\n{model}", "text tower\n{model}"),
    "flow_search": ("向量检索\n{index}", "search\n{index}"),
    "flow_score": ("评分\nhit@k", "score\nhit@k"),
    "none": ("无", "none"),
    "unknown": ("未记录", "not recorded"),
    "data": ("数据与划分", "Data and split"),
    "settings": ("预处理与设置", "Preprocessing and settings"),
    "machine": ("机器与耗时", "Machine and time"),
    "results": ("结果", "Results"),
    "metric": ("指标", "metric"),
    "text_to_image": ("文本 → 图片", "text → image"),
    "image_to_text": ("图片 → 文本", "image → text"),
    "comparison": ("比较", "Comparison"),
    "comparing": ("{a}（A）与 {b}（B）", "{a} (A) and {b} (B)"),
    "better": (
        (
            "结论：{winner} 优于 {loser}。{metric} 为 A {a:.2f}%、B {b:.2f}%，"
            "相差 {difference:+.2f} 个百分点"
            "（95% 区间 {low:+.2f} 至 {high:+.2f}，p = {p:.4f}，已按 Holm 法校正）。"
        ),
        (
            "Verdict: {winner} is better than {loser}. {metric} is {a:.2f} % for A and {b:.2f} % "
            "for B, a difference of {difference:+.2f} points (95 % interval {low:+.2f} to "
            "{high:+.2f}, p = {p:.4f} after Holm's correction)."
        ),
    ),
    "alike": (
        (
            "结论：A 与 B 无法区分。{metric} 为 A {a:.2f}%、B {b:.2f}%，"
            "相差 {difference:+.2f} 个百分点"
            "（95% 区间 {low:+.2f} 至 {high:+.2f}，p = {p:.4f}，已按 Holm 法校正）。"
        ),
        (
            "Verdict: A and B are not distinguishable. {metric} is {a:.2f} % for A and {b:.2f} % "
            "for B, a difference of {difference:+.2f} points (95 % interval {low:+.2f} to "
            "{high:+.2f}, p = {p:.4f} after Holm's correction)."
        ),
    ),
    "wins": (
        "按 {metric}：{wins} 条查询 B 更好，{ties} 条相同，{losses} 条 A 更好。",
        "By {metric}, B answers {wins} queries better, {ties} alike and {losses} worse.",
    ),
    "changed": (
        "下表为变化最大的查询，列出第一个正确结果的名次（–：未找到）。",
        "The queries that changed most, with the rank of the first correct item (–: not found).",
    ),
    "difference": ("B − A", "B − A"),
    "interval_of": ("95% 区间", "95 % interval"),
    "examples": ("成功与失败的例子", "Successes and failures"),
    "examples_text": (
        "按固定间隔抽取，未经挑选。绿框为正确结果；右端是第一个正确结果及其名次。",
        (
            "Taken at even distances, not picked. A green frame marks a correct result; at the "
            "right stands the first correct one with its rank."
        ),
    ),
    "no_images": (
        "未给出索引包，无法显示图片：用 --bundle 指定。",
        "Images are not shown: that needs the bundle that was searched (--bundle).",
    ),
    "successes": ("成功：第一个结果正确", "Successes: the first result is correct"),
    "failures": (
        "失败：前 {depth} 个结果都不正确",
        "Failures: none of the first {depth} is correct",
    ),
    "no_failures": ("没有失败的查询。", "No query failed."),
    "no_successes": ("没有成功的查询。", "No query succeeded."),
    "query": ("查询", "query"),
    "rank": ("第 {rank} 名", "rank {rank}"),
    "rank_of": ("第 {rank} 名（共 {of}）", "rank {rank} of {of}"),
    "rank_beyond": ("{depth} 名以后", "beyond {depth}"),
    "no_answer": ("没有标准答案", "no answer is known"),
    "errors": ("误差分析", "Error analysis"),
    "errors_text": (
        "各类查询的 {metric}；横线为 95% 置信区间，虚线为全部查询的平均，n 为查询数。",
        (
            "{metric} by kind of query; the line is the 95 % interval, the dashes mark the mean of "
            "all queries, n is the number of queries."
        ),
    ),
    "by_length": ("按查询长度（字符数）", "By length of the query (characters)"),
    "by_positives": ("按正确结果的个数", "By number of correct items"),
    "by_category": ("按类别", "By category"),
    "by_language": ("按语言", "By language"),
    "by_negation": ("按是否含否定", "By negation"),
    "misses": ("近似失误与重复图片", "Near misses and duplicates"),
    "misses_text": (
        (
            "第一个结果不正确的查询中，正确结果往往就在后面几名；有时排在第一的图片与正确图片几乎相同，"
            "只是编号不同（向量余弦不小于 {same}）。"
        ),
        (
            "Where the first result is wrong, the right one is often close behind; and sometimes "
            "the image at rank 1 is as good as the right one under another id (cosine of at "
            "least {same})."
        ),
    ),
    "first_right_at": ("第一个正确结果的名次", "rank of the first correct item"),
    "share_of_queries": ("查询比例 (%)", "share of the queries (%)"),
    "not_found": ("{depth} 名以后", "beyond {depth}"),
    "near_misses": ("近似失误：正确结果在第 2–5 名", "Near misses: the right one at rank 2 to 5"),
    "twins": ("排第一的是正确图片的重复", "Rank 1 is a duplicate of the right one"),
    "twins_count": (
        "第一个结果不正确的 {wrong} 条查询中，{twins} 条的第一个结果是正确图片的重复。",
        (
            "Of {wrong} queries whose first result is wrong, {twins} have a duplicate of the right "
            "one there."
        ),
    ),
    "twins_unknown": (
        "未给出索引包，无法比较图片的向量：用 --bundle 指定。",
        "Duplicates were not looked for: that needs the bundle that was searched (--bundle).",
    ),
    "curves": ("参数曲线", "Curves"),
    "reproduce": ("复现命令", "Do it again"),
    "reproduce_text": (
        "以下命令重做本报告；文件名不含所在目录。",
        "These commands make this report again; files are named without their folders.",
    ),
    "made_by": ("由 Tusou {version} 于 {date} 生成", "Made by Tusou {version} on {date}"),
    "queries": ("查询数", "queries"),
    "items": ("图库大小", "items in the pool"),
    "positives": ("每条查询的正确结果（平均）", "correct items a query (mean)"),
    "without_answer": ("没有答案的查询", "queries without an answer"),
    "outside": ("不在图库中的正确结果", "correct items outside the pool"),
    "length": ("查询长度：最短 / 中位 / 最长", "query length: least / median / most"),
    "failed": ("未能使用的图片", "images that could not be used"),
    "source": ("图库文件", "pool"),
    "answers": ("答案文件", "answers"),
    "model": ("模型", "model"),
    "weights": ("权重 SHA-256", "weights, SHA-256"),
    "dim": ("向量维数", "dimensions"),
    "preprocessing": ("图片预处理", "preprocessing of images"),
    "prompt": ("提示词", "prompt"),
    "precision": ("查询精度", "precision of queries"),
    "index": ("索引", "index"),
    "bundle": ("索引包版本", "bundle version"),
    "machine_row": ("机器", "machine"),
    "date": ("日期", "date"),
    "seconds": ("检索与评分用时（秒）", "seconds to search"),
    "report_seconds": ("本报告统计与取图用时（秒）", "seconds to analyse and illustrate"),
    "build": ("建库", "build"),
    "image_size": ("输入边长（像素）", "input side (pixels)"),
    # What slices of the queries are called.
    "Chinese": ("中文", "Chinese"),
    "Chinese with Latin letters": ("中文夹拉丁字母", "Chinese with Latin letters"),
    "Latin letters": ("拉丁字母", "Latin letters"),
    "neither": ("其他", "neither"),
    "refuses something": ("含否定", "refuses something"),
    "refuses nothing": ("不含否定", "refuses nothing"),
}
