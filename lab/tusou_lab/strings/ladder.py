"""Strings of ladders: what rungs gain and cost, and whether they are taken."""

LADDER = {
    "ladder": ("逐级提升", "The ladder"),
    "ladder_text": (
        (
            "以模型 {model} 的普通索引包（{items} 张图片）为起点，逐项尝试各个阶段。"
            "查询按编号的哈希分成两半（种子 {seed}，文本相同的查询在同一半）："
            "{choosing} 条只用来选参数，{confirming} 条只用来确认。"
            "表中的得分与区间都来自用于确认的一半；区间为配对 95% 置信区间，"
            "{metric} 的区间包含 0 的阶段不采用。"
            "p 值经 Holm 法校正，共 {tests} 次检验。"
        ),
        (
            "Stages are tried on the plain bundle of the model {model} ({items} images). The "
            "queries are divided by the hash of their ids (seed {seed}; equal texts stay "
            "together): {choosing} choose settings, {confirming} confirm the gain. Scores and "
            "intervals are those of the confirming half; the intervals are paired, 95 %, and a "
            "rung whose interval of {metric} holds 0 is not taken. The p values are corrected by "
            "Holm's method for {tests} tests."
        ),
    ),
    "ladder_note_few_queries": (
        "用于确认的查询只有 {queries} 条，只有很大的提升才能被确认。",
        "Only {queries} queries confirm: only large gains can be told from chance.",
    ),
    "ladder_note_bank_overlap": (
        "查询库的 {bank} 条文本中，有 {shared} 条同时也是评测查询。",
        "{shared} of the {bank} texts of the query bank are judged queries, too.",
    ),
    "ladder_alone": ("单独尝试", "Each rung alone"),
    "ladder_alone_text": (
        "每个阶段单独加在普通索引包上。",
        "Each stage by itself on the plain bundle.",
    ),
    "ladder_together": ("逐级叠加", "On top of each other"),
    "ladder_together_text": (
        "把单独有效的阶段依次叠加（按选参一半上的提升从大到小），每一级都在已采用的各级之上重新选参并确认。",
        (
            "The rungs that help alone, best first by the choosing half. Each is fitted again and "
            "confirmed on top of those taken before it."
        ),
    ),
    "ladder_rung": ("阶段", "rung"),
    "ladder_gain": ("提升", "gain"),
    "ladder_chosen_gain": ("选参一半上的提升", "gain where chosen"),
    "ladder_settings": ("参数", "settings"),
    "ladder_ms": ("每条查询（毫秒）", "ms per query"),
    "ladder_memory": ("内存（MB）", "memory (MB)"),
    "ladder_disk": ("磁盘（MB）", "disk (MB)"),
    "ladder_verdict": ("结论", "verdict"),
    "ladder_helps": ("有效", "helps"),
    "ladder_taken": ("采用", "taken"),
    "ladder_no_gain": ("不采用：选参时没有任何参数优于不加", "not taken: no setting helps"),
    "ladder_holds_zero": ("不采用：区间包含 0", "not taken: holds 0"),
    "ladder_worse": ("不采用：变差", "not taken: worse"),
    "ladder_plain": ("普通索引包（%）", "plain (%)"),
    "ladder_best": ("最佳索引包", "The best bundle"),
    "ladder_best_text": (
        "采用：{rungs}。参数：{settings}。",
        "Taken: {rungs}. Settings: {settings}.",
    ),
    "ladder_best_cost": (
        "每条查询 {ms} 毫秒，内存 {memory} MB，磁盘 {disk} MB（与普通索引包相比）。",
        "{ms} ms per query; memory {memory} MB and disk {disk} MB beside the plain bundle.",
    ),
    "ladder_best_plain": (
        "没有一个阶段得到确认，最佳索引包就是普通索引包。",
        "No rung was confirmed: the best bundle is the plain one.",
    ),
}
