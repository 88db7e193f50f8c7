"""Finds what a Chinese query refuses: 不带拉链的包 wants 包, without 拉链.

Chinese-CLIP reads 不带, 没有, 无 or 除了 as more of what follows them. Understood here, the refused
part can be subtracted instead. Whatever is not surely a negation is left as it is: fixed words
(无线, 非洲, 别墅, 有没有), and words after 无 or 非 whose end cannot be told. 无袖 is understood as
without 袖: measured, that finds more sleeveless things than the word itself.
"""

import re
from dataclasses import dataclass

# How much of a refused text's vector is subtracted; measured by benchmarks/negation.py.
REFUSED_WEIGHT = 0.35


@dataclass(frozen=True, slots=True)
class Understood:
    """A query taken apart: what it wants, and the things it refuses."""

    positive: str
    refused: tuple[str, ...]


# Words with a negation's sign in them that name a thing or a style; the model has seen them whole.
_FIXED = (
    "有没有|要不要|带不带|是不是|含不含|"
    "无(?:线|痕|人机|印|框|缝|钢圈|领|盖|糖|绳|烟|叶|铅|感|极|限|敌|比|级|锡|菌|纺布|门|肩带|束缚|性别|毒|尘|边际)|"
    "毫无|全无|南无|非(?:洲|常|凡|遗|主流|同|卖|诚|标|机动|处方)|除非|是非|莫非|并非|若非|"
    "沉没|淹没|埋没|没药|特别|分别|区别|个别|级别|性别|鉴别|不要钱|不要太"
)
_SIGNS = "不带|不要|不想要|不含|不是|没有|没带|去掉|去除|别要|别带|别有|非|无"
_EXCEPT = "除了|除去|除开"
_FOUND = re.compile(f"(?P<fixed>{_FIXED})|(?P<sign>{_SIGNS})|(?P<but>{_EXCEPT})")
# 碎花以外的连衣裙: what is refused stands before.
_BESIDES = re.compile("(?:以外|之外)的?")
# After 非 and 无 only a word from the list below, or a 的, tells where the refusal ends.
_SHORT = ("非", "无")

_COLOUR = (
    "(?:[大正深浅淡天宝草墨明奶纯粉玫酒土藏](?=[红橙橘黄绿青蓝紫粉棕褐灰黑白金银]))?"
    "[红橙橘黄绿青蓝紫粉棕褐灰黑白金银]色?|(?:咖啡|咖|卡其|米|驼|杏|彩|紫罗兰|亮)色|柠檬黄"
)
_LOOK = (
    "小碎花|碎花|印花|花朵|花纹|提花|竖条纹|横条纹|条纹|格子|格纹|方格|波点|圆点|斑点|迷彩花?|豹纹|卡通|"
    "图案|字母|文字|logo|刺绣|蕾丝|亮片|流苏|荷叶边|蝴蝶结|纯色|素色"
)
_PIECE = (
    "拉链|帽子|连帽|口袋|袖子|长袖|短袖|吊带|肩带|链条|皮带|腰带|鞋带|扶手|靠背|抽屉|盖子|轮子|手柄|"
    "袖|扣子|纽扣|毛领|高领|圆领|翻领|翻盖|内胆|钢圈|支架|镜子|滤网|高跟|细跟|粗跟|高帮|低帮|长筒|短筒|帽|盖|绳"
)
_STUFF = "纯棉|真皮|皮革|塑料|金属|木质|实木|原木|铁艺|玻璃|羊毛|羽绒|涤纶|化纤|酒精|香精|香料|糖"
_CUT = (
    "长款|短款|宽松|修身|阔腿|小脚|圆形|方形|圆|方|北欧风?|简约|复古|轻奢风?|工业风|人字|一字|托特"
)
_WORD = f"(?:{_LOOK}|{_PIECE}|{_STUFF}|{_CUT}|{_COLOUR})"
_JOINER = "(?:和(?!服)|或者?|跟(?!鞋)|与|及|、)"
_KNOWN = re.compile(f"带?{_WORD}(?:{_JOINER}?{_WORD})*", re.IGNORECASE)
_KNOWN_AT_END = re.compile(f"{_WORD}(?:{_JOINER}?{_WORD})*$", re.IGNORECASE)
_BETWEEN = re.compile(_JOINER)

_STOP = re.compile(r"[\s,，。;；!！?？]|但|都|其他|其它|别的|就行|不要|不带|不含|没有|除了")
_NOISE = re.compile(r"都可以|都行|都要|都好|就行|即可|其他的?|其它的?|别的|但是?|我?想?要(?=的|$)")
_EDGES = " ,，。;；、!！?？的"


def understand(query: str) -> Understood | None:
    """Take a query apart; None when it refuses nothing, or nothing would be left to look for."""
    rest, refused = _besides(query)
    place = 0
    while found := _FOUND.search(rest, place):
        end = found.end()
        if found["fixed"]:
            place = end
            continue
        said, after = _refusal(found.group(), rest[: found.start()], rest[end:])
        if not said:
            place = end
            continue
        refused += said
        rest = f"{rest[: found.start()].rstrip()} {after.lstrip()}"
        place = found.start()
    positive = " ".join(_NOISE.sub(" ", rest).split()).strip(_EDGES)
    return Understood(positive, tuple(dict.fromkeys(refused))) if refused and positive else None


def _besides(query: str) -> tuple[str, list[str]]:
    """Take out X以外 and 除了X以外."""
    found = _BESIDES.search(query)
    if not found:
        return query, []
    before, after = query[: found.start()], query[found.end() :]
    but = re.search(f"(?:{_EXCEPT}|除)(?=[^除]+$)", before)
    if but:
        start, named = but.start(), before[but.end() :]
    else:
        known = _KNOWN_AT_END.search(before)
        start = known.start() if known else max(map(before.rfind, " ,，的")) + 1
        named = before[start:]
    return f"{before[:start]} {after}", _each(named)


def _refusal(sign: str, before: str, after: str) -> tuple[list[str], str]:
    """Tell what is refused after a sign, and what the query goes on with."""
    stop = _STOP.search(after)
    head = after[: stop.start()] if stop else after
    named, of, thing = head.partition("的")
    if of:
        return _each(named), thing + after[len(head) :]
    known = _KNOWN.match(head)
    if known:
        return _each(known.group()), after[known.end() :]
    if sign in _SHORT or not before.strip(_EDGES):
        return [], after
    return _each(head), after[len(head) :]


def _each(named: str) -> list[str]:
    """Split 红色和碎花 into both."""
    parts = (part.strip(_EDGES) for part in _BETWEEN.split(named))
    return [part.removeprefix("带") for part in parts if part]
