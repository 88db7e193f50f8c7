"""What is refused is found, and nothing is found where nothing is refused."""

import pytest

from tusou.negation import understand


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
    ],
)
def test_finds_what_is_refused(query: str, positive: str, refused: list[str]) -> None:
    found = understand(query)
    assert found is not None
    assert (found.positive, list(found.refused)) == (positive, refused)


@pytest.mark.parametrize(
    "query",
    [
        "红色碎花连衣裙",
        *("无线耳机", "无痕内衣", "无人机", "带盖或无盖马克杯", "无印良品收纳"),
        *("非洲菊", "非常好看的裙子", "非主流T恤", "除非", "别墅灯", "特别显瘦", "胸针别针"),
        *("有没有红色的裙子", "要不要袖子", "不锈钢锅", "不粘锅", "不规则半身裙", "除湿机"),
        *("不要", "不要红色的", "没有", "除了", "以外", "之外的", "无香洗衣液", "不要太贵的包"),
    ],
)
def test_leaves_the_rest_alone(query: str) -> None:
    assert understand(query) is None


def test_any_pile_of_signs_ends() -> None:
    for sign in ("不要", "除了", "以外", "无", "不要的", "非碎花"):
        understand(sign * 500)
        understand((sign + " ") * 170)
