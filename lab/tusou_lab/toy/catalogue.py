"""The catalogue of toy products: categories, colours, patterns and traits, with their words."""

from collections.abc import Mapping
from dataclasses import dataclass

Rgb = tuple[int, int, int]
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour with its synonyms, and the tones an image of it may have."""

    words: Words
    tones: tuple[Rgb, ...]


COLOURS: Mapping[str, Colour] = {
    "red": Colour(
        ("红色", "大红色", "正红色", "红"), ((214, 26, 34), (196, 18, 36), (226, 40, 40))
    ),
    "orange": Colour(("橙色", "橘色", "橘黄色"), ((244, 124, 20), (250, 136, 34), (238, 112, 18))),
    "yellow": Colour(
        ("黄色", "明黄色", "柠檬黄"), ((250, 214, 36), (246, 222, 60), (252, 206, 20))
    ),
    "green": Colour(("绿色", "草绿色", "墨绿色"), ((38, 142, 62), (58, 156, 70), (24, 118, 60))),
    "sky": Colour(
        ("浅蓝色", "天蓝色", "淡蓝色"), ((126, 200, 240), (140, 208, 236), (112, 190, 236))
    ),
    "blue": Colour(("蓝色", "宝蓝色", "深蓝色"), ((30, 70, 190), (24, 54, 160), (44, 84, 208))),
    "purple": Colour(
        ("紫色", "紫罗兰色", "深紫色"), ((126, 46, 168), (112, 40, 150), (142, 62, 184))
    ),
    "pink": Colour(
        ("粉色", "粉红色", "浅粉色"), ((250, 166, 194), (252, 180, 202), (246, 152, 186))
    ),
    "brown": Colour(("棕色", "咖啡色", "褐色"), ((116, 68, 34), (104, 60, 32), (128, 78, 44))),
    "grey": Colour(("灰色", "深灰色", "灰"), ((132, 134, 138), (120, 122, 126), (146, 147, 150))),
    "black": Colour(("黑色", "纯黑色", "黑"), ((30, 30, 34), (24, 24, 26), (40, 40, 44))),
    "white": Colour(
        ("白色", "纯白色", "奶白色"), ((250, 250, 248), (246, 244, 238), (252, 252, 252))
    ),
}

PATTERNS: Mapping[str, Words] = {
    "plain": ("纯色", "素色"),
    "floral": ("碎花", "小碎花", "印花"),
    "stripes": ("条纹", "竖条纹"),
    "check": ("格子", "格纹", "方格"),
    "dots": ("波点", "圆点"),
    "camouflage": ("迷彩", "迷彩花"),
}
# In the order of PATTERNS: plain products are the most common, as in a shop.
PATTERN_SHARES = (0.3, 0.14, 0.14, 0.14, 0.14, 0.14)
FINISHES: Mapping[str, Rgb] = {
    "gold": (224, 168, 24),
    "wood": (226, 188, 146),
    "iron": (44, 42, 42),
}

Options = Mapping[str, Words]

GENDER: Options = {"men": ("男士", "男款", "男"), "women": ("女士", "女款", "女")}
SLEEVE: Options = {"short": ("短袖",), "long": ("长袖",)}
DRESS_SLEEVE: Options = {"strap": ("吊带",), "short": ("短袖",), "long": ("长袖",)}
LENGTH: Options = {"long": ("长款",), "short": ("短款",)}
FINISH: Options = {
    "gold": ("轻奢", "金色腿", "轻奢风"),
    "wood": ("原木", "实木", "木质"),
    "iron": ("工业风", "铁艺", "黑色铁艺"),
}
STANCE: Options = {
    "splayed": ("北欧", "北欧风"),
    "straight": ("简约", "现代简约"),
    "bowed": ("复古", "欧式复古"),
}
OUTLINE: Options = {"round": ("圆形", "圆"), "square": ("方形", "方")}
SHADE: Options = {"cone": ("布艺", "锥形"), "globe": ("球形", "圆球")}


@dataclass(frozen=True, slots=True)
class Category:
    """A category of products; `shape` names the function that draws it, in `shapes/FAMILY.py`."""

    family: str
    shape: str
    words: Words
    traits: Mapping[str, Options]
    patterned: bool = True
    suffixes: Words = ()  # short names that need a trait before them: 吊带 + 裙


CATEGORIES: tuple[Category, ...] = (
    Category("clothing", "tshirt", ("T恤", "t恤", "体恤"), {"gender": GENDER, "sleeve": SLEEVE}),
    Category("clothing", "shirt", ("衬衫", "衬衣"), {"gender": GENDER, "sleeve": SLEEVE}),
    Category("clothing", "dress", ("连衣裙",), {"sleeve": DRESS_SLEEVE}, suffixes=("裙", "裙子")),
    Category("clothing", "skirt", ("半身裙", "半裙"), {"length": LENGTH}),
    Category(
        "clothing",
        "trousers",
        ("长裤", "裤子"),
        {"cut": {"wide": ("阔腿", "宽松"), "slim": ("小脚", "修身")}},
        suffixes=("裤",),
    ),
    Category("clothing", "shorts", ("短裤", "五分裤"), {}),
    Category("clothing", "hoodie", ("卫衣",), {"neck": {"hood": ("连帽",), "crew": ("圆领",)}}),
    Category("clothing", "coat", ("大衣", "外套"), {"length": LENGTH}),
    Category("shoes", "leather_shoe", ("皮鞋",), {"gender": GENDER}, patterned=False),
    Category(
        "shoes",
        "sneaker",
        ("运动鞋", "球鞋"),
        {"height": {"high": ("高帮",), "low": ("低帮",)}},
        suffixes=("鞋",),
    ),
    Category(
        "shoes",
        "high_heel",
        ("高跟鞋",),
        {"heel": {"thin": ("细跟",), "block": ("粗跟",)}},
        suffixes=("鞋",),
    ),
    Category(
        "shoes",
        "boot",
        ("靴子", "皮靴"),
        {"length": {"long": ("长筒", "高筒"), "short": ("短筒", "低筒")}},
        suffixes=("靴",),
    ),
    Category(
        "shoes", "slipper", ("拖鞋",), {"strap": {"band": ("一字",), "thong": ("人字", "夹脚")}}
    ),
    Category(
        "bags",
        "handbag",
        ("手提包",),
        {"bag": {"tote": ("托特",), "box": ("翻盖", "小方")}},
        suffixes=("包", "包包"),
    ),
    Category("bags", "backpack", ("双肩包", "书包", "背包"), {}),
    Category(
        "bags",
        "crossbody",
        ("斜挎包", "单肩包"),
        {"strap": {"chain": ("链条",), "leather": ("皮带", "宽肩带")}},
        suffixes=("包", "包包"),
    ),
    Category("bags", "suitcase", ("行李箱", "拉杆箱", "旅行箱"), {}),
    Category(
        "furniture",
        "side_table",
        ("边几", "小茶几"),
        {"stance": STANCE, "finish": FINISH, "top": OUTLINE},
        patterned=False,
    ),
    Category(
        "furniture", "chair", ("椅子", "餐椅", "靠背椅"), {"stance": STANCE, "finish": FINISH}
    ),
    Category(
        "furniture",
        "sofa",
        ("沙发",),
        {"finish": FINISH, "seats": {"one": ("单人",), "two": ("双人", "两人位")}},
    ),
    Category(
        "furniture",
        "nightstand",
        ("床头柜",),
        {
            "stance": STANCE,
            "finish": FINISH,
            "drawers": {"two": ("两抽", "双抽"), "one": ("单抽", "一抽")},
        },
        patterned=False,
    ),
    Category("furniture", "cushion", ("抱枕", "靠垫"), {"outline": OUTLINE}),
    Category("lamps", "table_lamp", ("台灯", "床头灯"), {"finish": FINISH, "shade": SHADE}),
    Category("lamps", "floor_lamp", ("落地灯",), {"finish": FINISH, "shade": SHADE}),
    Category("lamps", "ceiling_lamp", ("吊灯",), {"finish": FINISH, "shade": SHADE}),
    Category(
        "kitchen",
        "mug",
        ("马克杯", "水杯"),
        {"lid": {"lid": ("带盖",), "open": ("无盖",)}},
        suffixes=("杯子",),
    ),
    Category(
        "kitchen",
        "kettle",
        ("水壶", "烧水壶"),
        {"handle": {"arch": ("提梁",), "side": ("侧把",)}},
        patterned=False,
    ),
    Category(
        "kitchen",
        "pot",
        ("汤锅", "锅"),
        {"grips": {"ears": ("双耳",), "long": ("单柄", "长柄")}},
        patterned=False,
    ),
    Category("kitchen", "bowl", ("碗", "饭碗"), {}),
    Category("kitchen", "plate", ("盘子", "餐盘"), {"outline": OUTLINE}, suffixes=("盘",)),
    Category("electronics", "phone_case", ("手机壳", "手机套"), {}),
    Category(
        "electronics",
        "headphones",
        ("耳机", "头戴耳机"),
        {"wire": {"wired": ("有线",), "wireless": ("无线", "蓝牙无线")}},
        patterned=False,
    ),
    Category("electronics", "watch", ("手表", "腕表"), {"face": OUTLINE}, patterned=False),
    Category("electronics", "speaker", ("音箱", "音响"), {"outline": OUTLINE}, patterned=False),
    Category("electronics", "camera", ("相机", "照相机"), {}, patterned=False),
    Category("electronics", "hair_dryer", ("吹风机", "电吹风"), {}, patterned=False),
)
FILLERS: Mapping[str, Words] = {
    "clothing": ("纯棉", "夏季", "春秋", "显瘦", "韩版", "百搭", "洋气", "ins风"),
    "shoes": ("真皮", "软底", "百搭", "透气", "舒适", "防滑"),
    "bags": ("高级感", "百搭", "小众", "通勤", "软面"),
    "furniture": ("客厅", "家用", "卧室", "小户型", "ins风"),
    "lamps": ("卧室", "客厅", "护眼", "led", "创意"),
    "kitchen": ("家用", "陶瓷", "ins风", "高颜值", "可爱"),
    "electronics": ("高颜值", "便携", "学生", "正品", "智能"),
}
ANY_FILLERS: Words = ("新款", "2023新款", "网红", "爆款", "高级感", "2023", "时尚", "包邮")


@dataclass(frozen=True, slots=True)
class ToyProduct:
    """The category and the facts of one image, which queries can state."""

    category: Category
    facts: Mapping[str, str]  # colour, pattern, and the category's traits
