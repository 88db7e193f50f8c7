"""Queries with a refusal, each with the fact that its results must not have."""

from dataclasses import dataclass

import numpy as np
from tusou_lab.toy.catalogue import CATEGORIES, COLOURS, PATTERNS, Category, ToyProduct

_FORMS = (
    "不带{refused}的{noun}",
    "没有{refused}的{noun}",
    "{refused}以外的{noun}",
    "除了{refused}以外的{noun}",
    "除了{refused}的{noun}",
    "{noun} 不要{refused}",
    "{noun}不要{refused}的",
    "不要{refused}的{noun}",
    "非{refused}{noun}",
    "不是{refused}的{noun}",
    "无{refused}{noun}",
    "{noun} 去掉{refused}",
    "{noun} {refused}除外",
    "除{refused}外的{noun}",
    "{noun}不喜欢{refused}",
    "没{refused}的{noun}",
)
# Texts that look like a refusal but are not: compounds, idioms, what a product removes.
NOT_NEGATED = (
    *("无线耳机", "无痕内衣", "无人机", "无印良品收纳盒", "无框眼镜", "无缝打底裤", "无钢圈文胸"),
    *("无领外套", "无糖饼干", "无绳吸尘器", "无烟锅", "无叶风扇", "无铅玻璃杯", "无极限T恤"),
    *("无敌破坏王手办", "无纺布购物袋", "无花果干", "无花果绿连衣裙", "无患子洗手液", "无核葡萄干"),
    *("无籽西瓜", "无骨鸡爪", "无火香薰", "无氟牙膏", "无硅油洗发水", "无尽夏绣球花", "无名指戒指"),
    *("无忧无虑的小熊T恤", "无辜的小猫卫衣", "无声鼠标", "无形的翅膀项链", "无源音箱", "无方向感"),
    *(
        "非洲菊",
        "非洲鼓",
        "非常好看的裙子",
        "非凡大师",
        "非遗蓝印花布",
        "非主流T恤",
        "非同凡响耳机",
    ),
    *("非你莫属情侣装", "南非红茶", "北非花纹地毯", "东非木雕", "除非", "是非题", "非球面镜片"),
    *("不锈钢锅", "不粘锅", "不规则半身裙", "不倒翁", "不求人", "不老莓", "不丹香", "不织布"),
    *(
        "除湿机",
        "除螨仪",
        "除味剂",
        "除毛膏",
        "除草机",
        "除湿机外壳",
        "去除污渍的清洁剂",
        "除夕红包",
    ),
    *("去除黑头的面膜", "除去异味的喷雾", "去屑洗发水", "除此之外", "意料之外的礼物"),
    *("别墅灯", "特别显瘦的裤子", "胸针别针", "个别要求", "别有洞天摆件", "级别牌", "差别"),
    *("沉没的船拼图", "没药精油", "出没警示牌", "没关系T恤", "没心没肺的小熊"),
    *("有没有红色的裙子", "要不要袖子", "是不是真皮", "不要钱的样品", "不要太贵的包", "没有之一"),
    *("没有烦恼的小狗", "没有最好", "国外代购", "外套", "户外以外", "意外险", "海外直邮奶粉"),
    *("红色碎花连衣裙", "花瓶", "花生", "花洒", "纯色短袖", "不", "无", "没有", "除了", "以外"),
)


@dataclass(frozen=True, slots=True)
class NegatedQuery:
    """A query for a category without one value of a fact."""

    text: str
    category: Category
    fact: str
    value: str

    def matches(self, product: ToyProduct) -> bool:
        """Return whether a product has the category and not the refused fact."""
        return product.category == self.category and not self.refuses(product)

    def refuses(self, product: ToyProduct) -> bool:
        """Return whether a product has the refused fact; traits are those of its own category."""
        is_general = self.fact in ("colour", "pattern")
        comparable = is_general or product.category == self.category
        return comparable and product.facts.get(self.fact) == self.value


def negated_queries(seed: int = 1) -> list[NegatedQuery]:
    """Return up to three queries per category, which refuse a colour, a pattern and a trait."""
    rng = np.random.default_rng(seed)
    queries: list[NegatedQuery] = []
    for category in CATEGORIES:
        for fact, value, word in _pick_refused(category, rng):
            form = _FORMS[len(queries) % len(_FORMS)]
            text = form.format(refused=word, noun=category.words[0])
            queries.append(NegatedQuery(text, category, fact, value))
    return queries


def _pick_refused(category: Category, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Return the (fact, value, word) of a colour, a pattern and a trait to refuse."""
    colour = list(COLOURS)[int(rng.integers(len(COLOURS)))]
    refused = [("colour", colour, COLOURS[colour].words[0])]
    if category.patterned:
        pattern = [name for name in PATTERNS if name != "plain"][int(rng.integers(5))]
        refused.append(("pattern", pattern, PATTERNS[pattern][0]))
    for trait, options in list(category.traits.items())[:1]:
        value = list(options)[int(rng.integers(len(options)))]
        # 无盖 is a negation itself: refusing it would be a double negation.
        if not options[value][0].startswith("无"):
            refused.append((trait, value, options[value][0]))
    return refused
