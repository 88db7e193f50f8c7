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
        "各图库用同一随机种子嵌套抽样：较小的图库是较大图库的子集，所有正确图片始终保留。",
        (
            "The pools are nested random samples: each contains the smaller ones and all correct "
            "images."
        ),
    ),
    "about_top_k": (
        "取前 k 个结果时的 hit@k、recall@k 和 precision@k。",
        "hit@k, recall@k and precision@k of the first k results.",
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
            "hit@k：前 k 个结果中至少有一个正确结果的查询所占的比例（即 MUGE 评测中的 R@k）；"
            "mean_recall：hit@1、hit@5、hit@10 的平均值。"
            "方括号内为对查询做自助法抽样得到的 95% 置信区间。"
        ),
        (
            "hit@k: share of queries with at least one correct item among the first k results "
            "(MUGE calls it R@k); mean_recall: mean of hit@1, hit@5 and hit@10. Brackets hold the "
            "95 % bootstrap interval over the queries."
        ),
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
    "flow_images": ("图片\n{n} 张", "images\n{n}"),
    "flow_decode": ("解码、缩放\n{side}×{side}", "decode, resize\n{side}×{side}"),
    "flow_image_tower": ("图像塔\n{model}", "image tower\n{model}"),
    "flow_queries": ("查询\n{n} 条", "queries\n{n}"),
    "flow_texts": ("文本\n{n} 条", "texts\n{n}"),
    "flow_prompt": ("提示词\n{prompt}", "prompt\n{prompt}"),
    "flow_text_tower": ("文本塔\n{model}", "text tower\n{model}"),
    "flow_search": ("向量检索\n{index}", "search\n{index}"),
    "flow_score": ("评分\nhit@k", "score\nhit@k"),
    "data": ("数据与划分", "Data and split"),
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
    "no_successes": ("没有成功的查询。", "No query succeeded."),
    "query": ("查询", "query"),
    "rank": ("第 {rank} 名", "rank {rank}"),
    "rank_of": ("第 {rank} 名（共 {of} 项）", "rank {rank} of {of}"),
    "rank_beyond": ("未进入前 {depth} 名", "not in the first {depth}"),
    "no_answer": ("没有标注正确结果", "no correct item is known"),
    "errors": ("误差分析", "Error analysis"),
    "errors_text": (
        "各类查询的 {metric}。横线为 95% 置信区间，虚线为全部查询的平均值，n 为查询数。",
        (
            "{metric} by kind of query. Lines show the 95 % interval, the dashed line marks the "
            "mean over all queries, n is the number of queries."
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
            "第一个结果不正确时，正确结果往往紧随其后；有时排在第一的图片与正确图片几乎相同，"
            "只是编号不同（向量余弦相似度不低于 {same}）。"
        ),
        (
            "When the first result is wrong, a correct item often follows closely. Sometimes the "
            "first result duplicates a correct image under another id (cosine similarity of at "
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
        "第一个结果与正确图片重复",
        "The first result duplicates a correct image",
    ),
    "duplicates_count": (
        "{wrong} 条查询的第一个结果不正确，其中 {duplicates} 条的第一个结果与正确图片重复。",
        (
            "The first result is wrong for {wrong} queries; for {duplicates} of them it duplicates "
            "a correct image."
        ),
    ),
    "duplicates_unknown": (
        "未指定索引包，因此无法检查重复图片；请用 --bundle 指定检索所用的索引包。",
        "Duplicates were not checked; give the bundle that was searched as --bundle.",
    ),
    "curves": ("参数曲线", "Parameter sweep"),
    "reproduce": ("复现命令", "Commands to reproduce"),
    "reproduce_text": (
        "运行以下命令可重新生成本报告；文件名省略了所在目录。",
        "These commands generate this report again; files are named without their folders.",
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
