"""Negation parsing: refused things, queries that refuse nothing, and running time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.negated_queries import NOT_NEGATED
from tusou.text.negation import parse_negation

DATA = Path(__file__).parents[4] / "shared/data"


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
        # Words end where the segmenter ends them.
        ("男士无帽檐骑行头盔", "男士 骑行头盔", ["帽檐"]),
        ("不要真皮沙发", "沙发", ["真皮"]),
        ("不要紧身的裤子", "裤子", ["紧身"]),
        ("除了有线以外的耳机", "耳机", ["有线"]),
        ("高跟鞋不喜欢细跟", "高跟鞋", ["细跟"]),
        ("帽子 不要带毛球", "帽子", ["毛球"]),
        # A wish that a contrast repeats.
        ("不要碎花只要纯色的连衣裙", "纯色的连衣裙", ["碎花"]),
        ("要纯棉的不要化纤 睡衣", "纯棉的 睡衣", ["化纤"]),
        ("饭盒 不要塑料只要不锈钢", "饭盒 不锈钢", ["塑料"]),
        # The sign follows.
        ("连衣裙 碎花的不要", "连衣裙", ["碎花"]),
        ("衬衫 格子的不要 修身", "衬衫 修身", ["格子"]),
        # Further signs.
        ("不用电池的闹钟", "闹钟", ["电池"]),
        ("四件套 不包括床单", "四件套", ["床单"]),
        ("双肩包不考虑黑色", "双肩包", ["黑色"]),
        ("我不喜欢格子 推荐衬衫", "推荐衬衫", ["格子"]),
        ("有没有不带拉链的包", "有没有 包", ["拉链"]),
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
        # Acts, not things.
        *(
            "不要组装床头柜",
            "不要安装的鞋架",
            "不用打孔的置物架",
            "不用充电的剃须刀",
            "不要冲洗的护发素",
        ),
        # Names.
        *("非那雄胺片", "西地那非", "达拉非尼", "没药精油", "无印良品风收纳", "不锈钢无缝管"),
        # Signs, titles, quotations.
        *("拒绝还价标识牌", "请不要停车警示贴", "《不要和陌生人说话》光盘", "《没有颜色的连衣裙》"),
        *("印有“不要红色”的杯子", "不要红色的气球 绘本", "没有围墙的大学", "《不要红色"),
        # Conversation.
        *(
            "如果没有就换红色的",
            "没有就换别的颜色",
            "快递不要放驿站",
            "衣服不要了怎么退款",
            "我不是药神",
        ),
        *("没有想象的那么好", "你好 不要包装盒可以便宜吗", "不要给我红色的"),
        # Prices and qualities that no image shows.
        *("不要超过100元的裙子", "不要太贵的耳机", "没有副作用的减肥茶"),
    ],
)
def test_other_queries_are_left_as_they_are(query: str) -> None:
    assert parse_negation(query) is None


@pytest.mark.skipif(not DATA.exists(), reason="needs the real queries beside the checkout")
def test_real_queries_without_refusals_are_left_whole() -> None:
    files = sorted(DATA.glob("*/*queries*.jsonl"))
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    texts = {json.loads(line)["query_text"] for line in lines}
    assert texts
    assert not [text for text in texts if parse_negation(text)]


def test_the_segmenter_is_loaded_for_candidates_only() -> None:
    code = (
        "import sys; from tusou.text.negation import parse_negation\n"
        "for text in ('红色连衣裙', '无线耳机', '不锈钢锅', '除湿机', '有没有红色的'):\n"
        "    assert parse_negation(text) is None\n"
        "assert 'rjieba' not in sys.modules\n"
        "assert parse_negation('连衣裙 不要碎花') and 'rjieba' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lone_surrogates_are_parsed() -> None:
    understood = parse_negation("连衣裙\ud800 不要碎花")
    assert understood is not None
    assert (understood.positive, understood.refused) == ("连衣裙\ud800", ("碎花",))


def test_many_repeated_signs_are_parsed_in_time() -> None:
    for sign in ("不要", "除了", "以外", "无", "不要的", "非碎花"):
        parse_negation(sign * 500)
        parse_negation((sign + " ") * 170)


def test_a_text_full_of_signs_is_left_whole() -> None:
    assert parse_negation("连衣裙 " + "不要碎花 " * 20) is None


@pytest.mark.parametrize("word", ["粉红", "浅蓝色", "金属", "圆领", "红和", "加绒", "碎花"])
@pytest.mark.parametrize("form", ["不要{}x", "非{}x", "{}x以外", "{}x除外", "除{}x外", "{}除外x"])
def test_many_repeated_words_are_parsed_in_time(word: str, form: str) -> None:
    parse_negation(form.format(word * (500 // len(word))))
