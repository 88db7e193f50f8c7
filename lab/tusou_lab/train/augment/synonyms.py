"""Words of products that mean the same, in groups."""

from collections.abc import Mapping

# Each word of a group may replace another wherever it is a word of its own. Wider and narrower
# words (裤子, 牛仔裤) are in no common group: an image that is correct for one may not be for the
# other.
_GROUPS = (
    "T恤 t恤 体恤 T恤衫",
    "衬衫 衬衣",
    "连衣裙 连身裙",
    "半身裙 半裙 半截裙",
    "运动鞋 球鞋",
    "靴子 靴",
    "双肩包 背包",
    "行李箱 拉杆箱 旅行箱",
    "手提包 手拎包",
    "耳机 耳麦",
    "手机壳 手机套 手机保护壳",
    "音箱 音响",
    "吹风机 电吹风",
    "茶几 咖啡桌",
    "床头柜 床边柜",
    "抱枕 靠枕 靠垫",
    "盘子 碟子",
    "帽子 帽",
    "男士 男款 男式",
    "女士 女款 女式",
    "圆形 圆",
    "方形 方",
    "格子 格纹 方格",
    "波点 圆点",
    "碎花 小碎花",
    "纯色 素色",
    "木质 木制",
    "红色 红",
    "橙色 橘色 桔色",
    "黄色 黄",
    "绿色 绿",
    "蓝色 蓝",
    "紫色 紫",
    "粉色 粉红色",
    "棕色 褐色 咖啡色",
    "灰色 灰",
    "黑色 黑",
    "白色 白",
    "深蓝色 藏青色 藏蓝色",
    "浅蓝色 淡蓝色",
)


def _by_word() -> Mapping[str, tuple[str, ...]]:
    others: dict[str, tuple[str, ...]] = {}
    for group in _GROUPS:
        words = group.split()
        for word in words:
            others[word] = tuple(other for other in words if other != word)
    return others


SYNONYMS = _by_word()
