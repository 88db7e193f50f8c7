"""What reports and sweeps call things, in English and in Chinese."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["zh", "en"]

# Metric names stay as they are in both: they are the contract.
SWEEP: Mapping[str, tuple[str, str]] = {
    "question_prompt": ("提示词模板", "Prompt templates"),
    "question_pool": ("图库大小", "Pool size"),
    "question_top_k": ("返回条数 k", "Top k"),
    "question_index": ("索引类型", "Index type"),
    "question_precision": ("查询编码精度", "Precision of the queries"),
    "axis_pool": ("图库大小（张）", "images in the pool"),
    "axis_top_k": ("k", "k"),
    "percent": ("百分比", "percent"),
    "none": ("（无模板）", "(no template)"),
    "ensemble": ("（各模板平均）", "(mean of all)"),
    "setting": ("设置", "setting"),
    "interval": ("95% 区间", "95 % interval"),
    "index_recall@10": ("index_recall@10 (%)", "index_recall@10 (%)"),
    "ms_a_query": ("毫秒/查询", "ms a query"),
    "seconds_to_build": ("建索引（秒）", "seconds to build"),
    "least_cosine_to_base": ("与基准的最小余弦", "least cosine to the base"),
    "about_prompt": (
        "每条查询先填入模板再编码；“各模板平均”是各模板向量的均值再归一化。",
        (
            "Each query is put into the template and encoded; the mean is that of the templates' "
            "vectors, made a unit again."
        ),
    ),
    "about_pool": (
        "图库按种子嵌套抽样：小图库是大图库的子集，所有正确图片始终保留。",
        "Pools are nested draws by seed: each holds the smaller ones, and all correct images.",
    ),
    "about_top_k": (
        "查看前 k 条时的 hit@k、recall@k 和 precision@k。",
        "What is found when the first k are looked at.",
    ),
    "about_index": (
        (
            "近似索引与精确检索的比较。index_recall@10 说的是索引找回了多少真正的最近邻，"
            "与找得对不对是两回事，因此分开列表。"
        ),
        (
            "Approximate indexes beside exact search. index_recall@10 says how many of the true "
            "neighbours an index finds, not whether they are what was meant: a table of its own."
        ),
    ),
    "about_precision": (
        "查询塔的计算精度；图片向量来自索引包，不变。",
        "In which precision the text tower computes; the images' vectors are the bundle's.",
    ),
    "sweep_title": ("参数扫描", "Sweep"),
    "sweep_base": (
        "模型 {model}，{queries} 条查询，{items} 张图片。除所问的一项外，其余设置为：{base}。",
        (
            "Model {model}, {queries} queries, {items} images. All but the setting in question: "
            "{base}."
        ),
    ),
}


class Words:
    """Looks labels up in one language."""

    def __init__(self, language: Language, *tables: Mapping[str, tuple[str, str]]) -> None:
        self.language = language
        place = 0 if language == "zh" else 1
        self._texts = {key: texts[place] for table in tables for key, texts in table.items()}

    def __getitem__(self, key: str) -> str:
        return self._texts[key]

    def get(self, key: str) -> str:
        """Give the label, or the key itself where it needs none."""
        return self._texts.get(key, key)
