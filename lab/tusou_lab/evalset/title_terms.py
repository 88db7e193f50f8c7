"""Concepts and values that the titles of a pool name, found by counting words.

A title is cut into phrases at blanks, punctuation, numbers, people (女士) and words that every shop
uses. In Chinese the last word of a phrase is its head, and those before it describe it: 碎花连衣裙
is a 连衣裙. A noun that ends most of the phrases it is in is a concept; words that describe
something are values. People should read the result before it is used.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

from tusou.text.normalize import without_controls
from tusou.text.segmentation import Word, is_word, segment
from tusou_lab.evalset.domain import AttributeTerms, Term, TitleTerms

TITLES = "titles"  # the source of a term
ATTRIBUTE = "标题词"  # the attribute of all values

_HEAD_TAGS = ("n", "vn", "l", "i")  # nouns, verbal nouns (斜挎包), and fixed phrases
_VALUE_TAGS = ("n", "vn", "a", "b", "t", "s", "z", "v", "l", "i")
_LEAST_HEADS = 0.5  # share of a word's phrases that it ends, to be a concept
# In titles of any goods: they describe the offer, not what an image shows.
_OFFERS = frozenset({
    "新款", "新品", "爆款", "同款", "正品", "包邮", "现货", "特价", "清仓", "促销", "热卖",
    "热销", "专柜", "官方", "旗舰店", "品牌", "厂家", "直销", "批发", "代购", "网红",
    "抖音", "明星", "推荐", "百搭", "时尚", "流行", "潮流", "高档", "高级", "优质", "专用",
    "多功能", "通用", "套装", "系列",
})  # fmt: skip
# Whom it is for: stands anywhere in a title, and is a value.
_PEOPLE = frozenset({
    "女士", "男士", "女生", "男生", "女童", "男童", "儿童", "小孩", "宝宝", "婴儿", "学生",
    "少女", "成人", "老人", "妈妈", "爸爸", "情侣", "男女", "女款", "男款", "中老年",
    "青少年", "女孩", "男孩", "孕妇", "亲子", "女式", "男式",
})  # fmt: skip


def find_title_terms(
    titles: Iterable[str], spec: TitleTerms
) -> tuple[tuple[Term, ...], tuple[AttributeTerms, ...]]:
    """Return the most frequent concepts of titles, and one attribute with the values, if any."""
    having: Counter[str] = Counter()  # titles that have the word
    heads: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    nouns: set[str] = set()
    for title in titles:
        words: set[str] = set()
        for phrase in _phrases(title):
            *describing, head = (word.text for word in phrase)
            if head in _PEOPLE:
                describing.append(head)
            else:
                heads[head] += 1
            inside.update(describing)
            words.update(describing, (head,))
            nouns.update(word.text for word in phrase if word.tag.startswith(_HEAD_TAGS))
        having.update(words)
    frequent = [word for word, count in having.most_common() if count >= spec.least_items]
    frequent = _without_wrong_cuts(frequent)
    is_head = {
        word: word in nouns and heads[word] / (heads[word] + inside[word]) > _LEAST_HEADS
        for word in frequent
    }
    concepts = [word for word in frequent if is_head[word]][: spec.concepts]
    values = [word for word in frequent if not is_head[word] and inside[word]][: spec.values]
    described = tuple(map(_term, values))
    attributes = (AttributeTerms(name=ATTRIBUTE, values=described),) if described else ()
    return tuple(map(_term, concepts)), attributes


def _without_wrong_cuts(words: list[str]) -> list[str]:
    """Return words, most frequent first, without those that hold part of a neighbour: 韩版纯.

    The dictionary does not have them, and they contain a more frequent word.
    """
    return [
        word
        for place, word in enumerate(words)
        if is_word(word) or not any(other in word for other in words[:place])
    ]


def _term(word: str) -> Term:
    return Term(name=word, source=TITLES)


def _phrases(title: str) -> Iterator[list[Word]]:
    """Yield the runs of words of two or more characters that name or describe something."""
    plain = unicodedata.normalize("NFKC", without_controls(title))
    phrase: list[Word] = []
    for word in segment(plain):
        if word.text in _PEOPLE:
            if phrase:
                yield phrase
            yield [word]
            phrase = []
        elif len(word.text) > 1 and word.tag.startswith(_VALUE_TAGS) and word.text not in _OFFERS:
            phrase.append(word)
        elif phrase:
            yield phrase
            phrase = []
    if phrase:
        yield phrase
