"""Segmentation of Chinese text into words."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple, cast

from tusou.core.lazy_import import LazyImport

# Words of products that jieba's dictionary lacks: it takes 绒卫衣 for one word.
_PRODUCT_WORDS = (
    *("卫衣", "打底裤", "打底衫", "雪纺衫", "阔腿裤", "牛仔外套", "吊坠", "抽绳", "加绒", "毛球"),
    *("马丁靴", "雪地靴", "洞洞鞋", "老爹鞋", "小白鞋", "乐福鞋", "豆豆鞋", "板鞋", "泡泡袖"),
    *("羊羔毛", "珊瑚绒", "冰丝", "小香风", "娃娃领", "发箍", "发圈", "耳夹", "锁骨链", "沙发套"),
    *("托特包", "水桶包", "腋下包", "胸包", "收纳箱", "手机壳", "充电宝", "地垫", "抱枕"),
)


class Word(NamedTuple):
    """A word of a text, its part of speech (jieba's tags) and where it begins."""

    text: str
    tag: str
    start: int

    @property
    def end(self) -> int:
        """The position after its last character."""
        return self.start + len(self.text)


def segment(text: str) -> list[Word]:
    """Return the words of a text in order; joined, they are the text.

    The first call loads the dictionary (0.1 to 0.5 s, 33 MB): call it only for texts that need it.
    """
    words = []
    start = 0
    # A lone surrogate cannot be passed on; a question mark has the same length.
    for word, tag in _load("tag")(text.encode("utf-8", "replace").decode()):
        words.append(Word(text[start : start + len(word)], tag, start))
        start += len(word)
    return words


def joined(words: Iterable[Word]) -> str:
    """Return the text of consecutive words."""
    return "".join(word.text for word in words)


def is_word(text: str) -> bool:
    """Return whether the dictionary has a text as one word."""
    return bool(_load("has_word")(text))


@cache
def _load(function: str) -> Callable[[str], Any]:
    """Return a function of rjieba, whose dictionary then has the words of products."""
    add_word = cast("Callable[[str, None, str], int]", _import("add_word"))
    for word in _PRODUCT_WORDS:
        add_word(word, None, "n")
    return cast("Callable[[str], Any]", _import(function))


def _import(function: str) -> object:
    return LazyImport(f"rjieba:{function}").load()
