"""Titles are ranked by BM25 of their words and pairs of characters."""

import math

import pytest
from tusou_lab.evalset.title_search import TitleIndex, read_titles, tokenize

from tusou.attributes.table import AttributeTable
from tusou.core.errors import BadDataset, InvalidRequest

TITLES = [
    "韩版碎花连衣裙 夏季新款",
    "纯棉T恤 男 2024",
    "碎花吊带裙",
    "",
    "真皮斜挎包 碎花内里 碎花肩带",
    "ＺＡＲＡ 连衣裙 ｘＬ",
]


def test_the_words_and_pairs_of_a_text_are_its_tokens() -> None:
    assert set(tokenize("碎花连衣裙 ＸL-2024")) >= {"碎花", "连衣", "衣裙", "连衣裙", "xl", "2024"}
    assert tokenize("碎花").count("碎花") == 1
    assert tokenize("裙") == ["裙"]
    assert tokenize(" ，。😀") == []


def test_scores_are_those_of_the_formula() -> None:
    texts = ["a b b c", "b c", "a d d d d", "e"]
    index = TitleIndex(texts)
    tokens = [text.split() for text in texts]
    mean = sum(map(len, tokens)) / len(tokens)

    def score(words: list[str], query: str) -> float:
        total = 0.0
        for word in query.split():
            having = sum(word in each for each in tokens)
            rarity = math.log(1 + (len(tokens) - having + 0.5) / (having + 0.5))
            count = words.count(word)
            total += rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(words) / mean))
        return total

    for query in ("b", "a b", "d a", "c e"):
        scores = [score(words, query) for words in tokens]
        ranked = [key for key in sorted(range(4), key=lambda key: -scores[key]) if scores[key]]
        assert index.search(query, 10).tolist() == ranked


@pytest.mark.parametrize(
    ("query", "first"),
    [("碎花连衣裙", 0), ("吊带", 2), ("zara xl", 5), ("碎花斜挎包", 4), ("有没有纯棉的T恤", 1)],
)
def test_the_title_that_says_most_is_first(query: str, first: int) -> None:
    found = TitleIndex(TITLES).search(query, 3).tolist()
    assert found[0] == first
    assert len(found) <= 3


def test_nothing_is_found_for_what_no_title_says() -> None:
    index = TitleIndex(TITLES)
    assert index.search("雨伞", 10).tolist() == []
    assert index.search("", 10).tolist() == []
    assert TitleIndex([]).search("雨伞", 10).tolist() == []
    assert TitleIndex(["", ""]).search("雨伞", 10).tolist() == []


def test_titles_are_an_attribute_of_texts() -> None:
    schema = {"title": "string", "tags": "strings", "price": "number"}
    rows = [{"title": "红裙", "tags": ["红", "裙"], "price": 3.0}, {}]
    table = AttributeTable.from_rows(schema, rows)  # type: ignore[arg-type]
    assert read_titles(table, "title") == ["红裙", ""]
    assert read_titles(table, "tags") == ["红 裙", ""]
    with pytest.raises(InvalidRequest, match="'price' is of type number, not text"):
        read_titles(table, "price")
    for missing in (table, None):
        with pytest.raises(BadDataset, match="no attribute 'name': index it with --attributes"):
            read_titles(missing, "name")
