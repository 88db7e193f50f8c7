"""Attributes of the toy data set's products, as a shop has them; some are hostile."""

import json
from pathlib import Path

from tusou_lab.toy.catalogue import COLOURS, PATTERNS
from tusou_lab.toy.products import draw_facts, item_id

from tusou.attributes.schema import AttributeSchema, AttributeValue

SEED = 2024
SCHEMA: AttributeSchema = {
    "title": "string",
    "category": "string",
    "color": "string",
    "tags": "strings",
    "in_stock": "boolean",
    "price": "number",
    "url": "string",
    "product_id": "string",
}
HOSTILE_TAG = "<b>坏</b>"
HOSTILE_TITLES = (
    '<img src=x onerror="document.title=1">',
    "\u202e倒过来的标题\u2066没有结束",
    "W" * 10_000,
    "😀" * 150,
)
HOSTILE_URLS = (
    "javascript:document.title=1",
    "data:text/html,<script>document.title=1</script>",
    "//shop.example/1",
    "https://user@shop.example/<b>?q=\u202e",
)
_HOSTILE_FROM = 200  # the first of the hostile items


def attributes_of(number: int) -> dict[str, AttributeValue]:
    """Return the attributes of an item of the split `test`, by its number."""
    product, _ = draw_facts(SEED, "test", number)
    colour, pattern = COLOURS[product.facts["colour"]].words[0], product.facts["pattern"]
    category = product.category.words[0]
    trait_words = [
        options[product.facts[trait]][0] for trait, options in product.category.traits.items()
    ]
    title = f"2024新款{PATTERNS[pattern][0]}{colour}{''.join(trait_words)}{category} 时尚百搭 包邮"
    attributes: dict[str, AttributeValue] = {
        "title": title,
        "category": category,
        "color": colour,
        "tags": [PATTERNS[pattern][0], "新款" if number % 3 else "清仓"],
        "in_stock": number % 4 != 0,
        "price": round(19.9 + number * 37 % 480, 2),
        "url": f"https://shop.example/商品/{number}",
        "product_id": f"{product.category.shape}-{number % 3}",
    }
    hostile = number - _HOSTILE_FROM
    if 0 <= hostile < len(HOSTILE_TITLES):
        attributes["title"], attributes["url"] = HOSTILE_TITLES[hostile], HOSTILE_URLS[hostile]
        attributes["tags"] = [HOSTILE_TAG]
    if number % 50 == 7:  # goods of which little is known
        attributes = {"category": category}
    return attributes


def write_attributes(path: Path, count: int) -> None:
    """Write an attributes file of the first items of the split `test`."""
    rows = ({"item_id": item_id("test", n), **attributes_of(n)} for n in range(count))
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), "utf-8")
