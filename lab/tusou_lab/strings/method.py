"""Strings that explain the task, the metrics, the method and the key code."""

METHOD = {
    "task": ("检索任务", "Task"),
    "task_text_to_image": (
        (
            "用 {queries} 条{language}查询在{pool}中检索相符的图片，"
            "每条查询返回最相似的 {depth} 张。"
        ),
        (
            "For each of {queries} {language}queries, find matching images among {pool}; the "
            "{depth} most similar images are returned."
        ),
    ),
    "task_image_to_text": (
        "用 {queries} 张图片在{pool}中检索描述它的文本，每张图片返回相似度最高的 {depth} 条。",
        (
            "For each of {queries} images, find the texts that describe it among "
            "{pool}; the {depth} most similar texts are returned."
        ),
    ),
    "pool_text_to_image": (" {items} 张图片", "{items} images"),
    "pool_image_to_text": (" {items} 条{language}文本", "{items} {language}texts"),
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
            "图像塔（ViT 或 ResNet）把图片编码为向量，文本塔（{text_tower}）"
            "把文本编码为同样维数的向量；"
            "两个向量都除以自身的长度（L2 归一化），落在同一个单位球面上。"
            "相符的图片和文本方向相近，所以可以直接用内积比较图片与文本。"
        ),
        (
            "The model has two towers. The image tower (a ViT or ResNet) encodes an image as a "
            "vector, the text tower ({text_tower}) encodes a text as a vector of the same "
            "dimension, and both are divided by their length (L2 normalisation), so that they lie "
            "on one unit sphere. An image and a text that fit point in similar directions and can "
            "be compared by their inner product."
        ),
    ),
    "text_tower_chinese_clip": ("中文 RoBERTa", "a Chinese RoBERTa"),
    "text_tower_other": ("Transformer", "a transformer"),
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
    "notes": ("作者的说明", "The author's notes"),
    "code": ("关键代码", "Key code"),
    "code_text": (
        "归一化、检索、Recall@K 和对比损失的核心计算。",
        "The core of normalisation, search, Recall@K and the contrastive loss.",
    ),
}
