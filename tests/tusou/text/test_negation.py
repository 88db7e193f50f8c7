"""Negation parsing: refused things, queries that refuse nothing, and running time."""

import pytest

from benchmarks.negated_queries import NOT_NEGATED
from tusou.text.negation import parse_negation


@pytest.mark.parametrize(
    ("query", "positive", "refused"),
    [
        ("不带拉链的包", "包", ["拉链"]),
        ("没有碎花的连衣裙", "连衣裙", ["碎花"]),
        ("碎花以外的连衣裙", "连衣裙", ["碎花"]),
        ("除了碎花以外的连衣裙", "连衣裙", ["碎花"]),
        ("除碎花之外的连衣裙", "连衣裙", ["碎花"]),
        ("除了红色的裙子", "裙子", ["红色"]),
        ("连衣裙除了红色都可以", "连衣裙", ["红色"]),
        ("夏季连衣裙碎花以外的", "夏季连衣裙", ["碎花"]),
        ("连衣裙 不要碎花", "连衣裙", ["碎花"]),
        ("连衣裙不要红色", "连衣裙", ["红色"]),
        ("连衣裙，不要红色和碎花的", "连衣裙", ["红色", "碎花"]),
        ("不要红色不要碎花的连衣裙", "连衣裙", ["红色", "碎花"]),
        ("女士无碎花连衣裙", "女士 连衣裙", ["碎花"]),
        ("无拉链包", "包", ["拉链"]),
        ("无扶手的餐椅", "餐椅", ["扶手"]),
        ("无袖连衣裙", "连衣裙", ["袖"]),
        ("非纯棉T恤", "T恤", ["纯棉"]),
        ("非黑色的皮鞋", "皮鞋", ["黑色"]),
        ("不含酒精的湿巾", "湿巾", ["酒精"]),
        ("去掉帽子的卫衣", "卫衣", ["帽子"]),
        ("卫衣 别带帽", "卫衣", ["帽"]),
        ("衬衫没有口袋", "衬衫", ["口袋"]),
        ("不要和服的腰带", "腰带", ["和服"]),
        ("不是红色的无线耳机", "无线耳机", ["红色"]),
        ("不要浅蓝色条纹衬衫", "衬衫", ["浅蓝色条纹"]),
        ("T恤没有图案", "T恤", ["图案"]),
        ("没有图案的T恤", "T恤", ["图案"]),
        ("纯色不要花", "纯色", ["花"]),
        ("纯色不要花连衣裙", "纯色 连衣裙", ["花"]),
        ("不要花的裙子", "裙子", ["花"]),
        ("非红色连衣裙", "连衣裙", ["红色"]),
        ("非粉红色的连衣裙", "连衣裙", ["粉红色"]),
        ("除了黑色的皮鞋", "皮鞋", ["黑色"]),
        ("皮鞋 除了黑色的都可以", "皮鞋", ["黑色"]),
        ("连衣裙 红色除外", "连衣裙", ["红色"]),
        ("连衣裙（红色和碎花除外）", "连衣裙", ["红色", "碎花"]),
        ("除黑色外的皮鞋", "皮鞋", ["黑色"]),
        ("无袖碎花连衣裙", "碎花连衣裙", ["袖"]),
        ("无袖长款连衣裙", "长款连衣裙", ["袖"]),
        ("没袖子的上衣", "上衣", ["袖子"]),
        ("没拉链外套", "外套", ["拉链"]),
        ("不加绒卫衣", "卫衣", ["绒"]),
        ("去除帽子的卫衣", "卫衣", ["帽子"]),
        ("连衣裙不喜欢红色", "连衣裙", ["红色"]),
        ("不需要电池的玩具", "玩具", ["电池"]),
        ("无帽无袖外套", "外套", ["帽", "袖"]),
        ("南非红茶不要盒装", "南非红茶", ["盒装"]),
    ],
)
def test_refused_things_are_found(query: str, positive: str, refused: list[str]) -> None:
    understood = parse_negation(query)
    assert understood is not None
    assert (understood.positive, list(understood.refused)) == (positive, refused)


@pytest.mark.parametrize(
    "query",
    [
        *NOT_NEGATED,
        *("带盖或无盖马克杯", "不要", "不要红色的", "之外的", "无香洗衣液", "非红色", "红色除外"),
    ],
)
def test_other_queries_are_left_as_they_are(query: str) -> None:
    assert parse_negation(query) is None


def test_many_repeated_signs_are_parsed_in_time() -> None:
    for sign in ("不要", "除了", "以外", "无", "不要的", "非碎花"):
        parse_negation(sign * 500)
        parse_negation((sign + " ") * 170)


@pytest.mark.parametrize("word", ["粉红", "浅蓝色", "金属", "圆领", "红和", "加绒", "碎花"])
@pytest.mark.parametrize("form", ["不要{}x", "非{}x", "{}x以外", "{}x除外", "除{}x外", "{}除外x"])
def test_many_repeated_words_are_parsed_in_time(word: str, form: str) -> None:
    parse_negation(form.format(word * (500 // len(word))))
