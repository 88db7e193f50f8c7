"""The difficulty of toy data: clutter in the images, and rare words in the queries."""

from collections.abc import Mapping
from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Difficulty:
    """The parameters of images and queries in which easy and hard data differ."""

    further_products: tuple[float, ...]  # shares of images with 0, 1, 2 further products
    scale: Range  # of a product that is alone, as a share of the image's side
    turn: float  # standard deviation of the rotation, degrees
    quality: tuple[int, int]  # of JPEG
    fillers: tuple[float, ...]  # shares of queries with 0, 1, 2, ... words that say nothing
    correct_items: Range  # to aim at for a query of valid and test
    rare_words: float = 0.0  # share of words that are rare synonyms
    clutter: int = 0  # objects in an image that are not products, at most
    dimmest: float = 1.0  # the least light
    blur: float = 0.0  # the largest radius, pixels
    noise: float = 0.0  # the largest standard deviation of a pixel


EASY = Difficulty((1.0,), (0.32, 0.45), 6, (60, 95), (0.45, 0.4, 0.15), (3, 10))
HARD = Difficulty(
    further_products=(0.6, 0.3, 0.1),
    scale=(0.28, 0.42),
    turn=12,
    quality=(25, 70),
    fillers=(0.15, 0.25, 0.3, 0.2, 0.1),
    correct_items=(1, 4),
    rare_words=0.25,
    clutter=5,
    dimmest=0.7,
    blur=1.2,
    noise=10,
)

# Synonyms that shops use less often, by the name of a colour, or of a category's shape.
RARE_WORDS: Mapping[str, tuple[str, ...]] = {
    "red": ("朱红色", "绯红色"),
    "orange": ("桔色", "橙红色"),
    "yellow": ("鹅黄色", "姜黄色"),
    "green": ("翠绿色", "松绿色"),
    "sky": ("湖蓝色", "冰蓝色"),
    "blue": ("藏蓝色", "藏青色"),
    "purple": ("茄紫色", "丁香紫"),
    "pink": ("樱花粉", "藕粉色"),
    "brown": ("焦糖色", "巧克力色"),
    "grey": ("烟灰色", "银灰色"),
    "black": ("墨黑色", "乌黑色"),
    "white": ("米白色", "象牙白"),
    "tshirt": ("打底衫", "圆领衫"),
    "shirt": ("恤衫",),
    "dress": ("连身裙", "裙装"),
    "skirt": ("半截裙",),
    "trousers": ("休闲裤", "裤装"),
    "shorts": ("热裤", "中裤"),
    "hoodie": ("套头衫",),
    "coat": ("呢子大衣", "风衣"),
    "leather_shoe": ("商务鞋", "牛皮鞋"),
    "sneaker": ("跑鞋", "板鞋"),
    "high_heel": ("恨天高", "跟鞋"),
    "boot": ("马丁靴",),
    "slipper": ("凉拖",),
    "handbag": ("手拎包", "女包"),
    "backpack": ("双肩背", "背囊"),
    "crossbody": ("挎包", "邮差包"),
    "suitcase": ("登机箱", "皮箱"),
    "side_table": ("角几", "边桌"),
    "chair": ("座椅",),
    "sofa": ("沙发椅",),
    "nightstand": ("床边柜",),
    "cushion": ("靠枕", "腰枕"),
    "table_lamp": ("桌灯", "阅读灯"),
    "floor_lamp": ("立灯",),
    "ceiling_lamp": ("垂吊灯",),
    "mug": ("口杯", "茶缸"),
    "kettle": ("热水壶", "茶壶"),
    "pot": ("炖锅", "煮锅"),
    "bowl": ("面碗", "汤碗"),
    "plate": ("碟子", "平盘"),
    "phone_case": ("手机保护套", "手机外壳"),
    "headphones": ("耳麦",),
    "watch": ("石英表",),
    "speaker": ("扬声器", "喇叭"),
    "camera": ("数码相机", "单反"),
    "hair_dryer": ("风筒",),
}
