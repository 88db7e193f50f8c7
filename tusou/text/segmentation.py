"""Segmentation of Chinese text into words."""

from collections.abc import Callable, Iterable
from functools import cache
from threading import Lock
from typing import NamedTuple, cast

from tusou.core.lazy_import import LazyImport

# Words of products that jieba's dictionary lacks: it takes 绒卫衣 for one word.
_PRODUCT_WORDS = (
    *("卫衣", "打底裤", "打底衫", "雪纺衫", "阔腿裤", "牛仔外套", "吊坠", "抽绳", "加绒", "毛球"),
    *("马丁靴", "雪地靴", "洞洞鞋", "老爹鞋", "小白鞋", "乐福鞋", "豆豆鞋", "板鞋", "泡泡袖"),
    *("羊羔毛", "珊瑚绒", "冰丝", "小香风", "娃娃领", "发箍", "发圈", "耳夹", "锁骨链", "沙发套"),
    *("托特包", "水桶包", "腋下包", "胸包", "收纳箱", "手机壳", "充电宝", "地垫", "抱枕"),
)


_LOADING = Lock()


class _Dictionary(NamedTuple):
    """The functions of rjieba that read its dictionary; several threads may call them at once."""

    tag: Callable[[str], list[tuple[str, str]]]
    has_word: Callable[[str], bool]


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
    for word, tag in _dictionary().tag(text.encode("utf-8", "replace").decode()):
        words.append(Word(text[start : start + len(word)], tag, start))
        start += len(word)
    return words


def joined(words: Iterable[Word]) -> str:
    """Return the text of consecutive words."""
    return "".join(word.text for word in words)


def is_word(text: str) -> bool:
    """Return whether the dictionary has a text as one word."""
    return _dictionary().has_word(text)


def _dictionary() -> _Dictionary:
    with _LOADING:  # `cache` alone lets two threads load
        return _load()


@cache
def _load() -> _Dictionary:
    """Load the dictionary and add the product words: no other thread may use it meanwhile."""
    add_word, tag, has_word = (
        LazyImport(f"rjieba:{name}").load() for name in ("add_word", "tag", "has_word")
    )
    for word in _PRODUCT_WORDS:
        cast("Callable[[str, None, str], int]", add_word)(word, None, "n")
    return _Dictionary(
        cast("Callable[[str], list[tuple[str, str]]]", tag),
        cast("Callable[[str], bool]", has_word),
    )
