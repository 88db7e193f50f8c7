"""Strings of sections: headings, their introductions, and charts."""

SECTIONS = {
    "title": ("{language}图文检索实验报告", "Report on {language}image retrieval"),
    "language_Chinese": ("中文", "Chinese "),
    "language_English": ("英文", "English "),
    "language_other": ("", ""),
    "contents": ("目录", "Contents"),
    "data": ("数据与划分", "Data and split"),
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
    "settings_text_other": (
        (
            "图片按模型自己的方式缩放、裁剪和标准化，文本用模型自己的分词器切分，见下表。"
            "所有向量都做 L2 归一化。图片向量建库时计算一次，存入索引包，之后的查询不再编码图片；"
            "查询向量也会缓存，同样的文本只编码一次。"
        ),
        (
            "Images are resized, cropped and standardised, and texts tokenised, as the model's own "
            "files say; see the table. All vectors are L2 normalised. Image vectors are computed "
            "once and kept in the bundle; query vectors are cached, so that no text is encoded "
            "twice."
        ),
    ),
    "training": ("训练", "Training"),
    "training_seconds": ("训练用时（秒）", "training time (s)"),
    "loss": ("损失", "loss"),
    "loss_curve": ("训练损失曲线", "Training loss"),
    "recall_curve": ("每轮在验证集上的召回率", "Recall on valid after each epoch"),
    "step": ("步", "step"),
    "epoch": ("轮", "epoch"),
    "learning_rate": ("学习率", "learning rate"),
    "temperature": ("温度", "temperature"),
    "pairs_per_second": ("对/秒", "pairs/s"),
    "temperature_curve": ("每轮结束时的温度", "Temperature after each epoch"),
    "settings": ("预处理与设置", "Preprocessing and settings"),
    "machine": ("机器与耗时", "Machine and time"),
    "results": ("结果", "Results"),
    "metric": ("指标", "metric"),
    "text_to_image": ("以文搜图", "text → image"),
    "image_to_text": ("以图搜文", "image → text"),
    "run_heading": ("{name}（{direction}）", "{name} ({direction})"),
    "comparison": ("对比", "Comparison"),
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
    "no_slices": (
        "查询在长度、正确结果数、类别、语言和否定上都属于同一组，无法分组比较。",
        "All queries are of one kind in length, correct items, category, language and negation.",
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
}
