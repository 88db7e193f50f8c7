"""The words that mark a refusal, and how each may be used."""

import re

from tusou.text.negation_lexicon import BESIDES_FIXED, FIXED

_SIGNS = (
    "不想要|不要|别要|不喜欢|不考虑|不需要|不用|不带|没带|别带|不含|不包含|不包括|不是|不能有|不能带|别有|"
    "不加|没有|去掉|去除|除去|排除|拒绝|非|无|没"
)
_BESIDES = "(?:以外|之外)的?"
# A match's `lastgroup` says what it is; `fixed` marks nothing.
MARKER = re.compile(
    f"(?P<fixed>{FIXED}|{BESIDES_FIXED})|(?P<but>除了|除开|除(?=[^除]{{1,12}}外))|(?P<sign>{_SIGNS})"
    # 碎花以外的连衣裙, 黑色除外: the refused thing precedes.
    f"|(?P<besides>{_BESIDES})|(?P<excepted>除外[)）]?的?)"
)
# Words that close 除了黑色以外, 除黑色外; 除湿外机 and 除外套 hold no such 外.
OUTSIDE = re.compile(f"{_BESIDES}|外(?![套衣穿机])的?")

REMOVING_SIGNS = ("去掉", "去除", "除去")
# Signs for something that a product lacks: 无粉手套 has nothing to do with pink.
LACKING_SIGNS = ("无", "没", "不加", *REMOVING_SIGNS)
# After these signs only a known thing is a refusal: 去除污渍的清洁剂 removes dirt, 无线 is a word.
AMBIGUOUS_SIGNS = ("非", "拒绝", *LACKING_SIGNS)
NEEDLESS_SIGNS = ("不用", "不需要")
# Signs that may refuse a quality (不要甜的); 没有明显的 does not.
WISHING_SIGNS = ("不要", "不想要", "别要", "不喜欢", "不考虑", "不是", "除了")
# Signs that can follow what they refuse: 碎花的不要.
TRAILING_SIGNS = ("不要", "不考虑", "不喜欢", "不想要")
# Words between a sign and a thing: 不要带帽子, 不想要那种毛绒的.
LEADING_WORDS = ("有", "带", "带有", "是", "含", "那种", "这种")

SEPARATORS = " ,，。;；!！?？\t\u3000"
EDGES = " ,，。;；、!！?？的\u3000"
# The end of a refusal: a separator, another marker, or a word that leads back to the wish.
STOP = re.compile(rf"[\s{SEPARATORS}]|不要|不带|不含|没有|除了|只要")
STOP_WORD = re.compile("但是?|都|其[他它]|别的|就行|[只就我而]?要|而是|而且")
_MOST_MARKERS = 8
_LONGEST_TEXT = 128  # characters; the models read about 50
CONTRAST = re.compile(r"[\s,，]*(?:但是|但|而是|只要|就要|我要|要)(?=\S)")


def has_marker(text: str) -> bool:
    """Return whether a text holds a marker that is not part of a fixed word.

    Return False for a text that is too long to be a typed query, or that holds too many markers:
    every marker costs a segmentation of the text after it.
    """
    markers = sum(match.lastgroup != "fixed" for match in MARKER.finditer(text))
    return 0 < markers <= _MOST_MARKERS and len(text) <= _LONGEST_TEXT
