"""Strings of sweeps: experiments, charts and tables."""

SWEEP = {
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
}
