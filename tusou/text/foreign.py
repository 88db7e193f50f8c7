"""Languages that a text tower trained on Chinese alone does not know.

Its vocabulary does not tell: it splits the words of most languages into letters or syllables, as
it does with brand names and model numbers, which it was trained on.
"""

import re
import unicodedata

# A Chinese text without foreign letters: the case of nearly all queries, told by one search.
_FOREIGN = re.compile(
    r"[^\x00-\x7f\xa0-\xbf\xd7\xf7\u2000-\u2bff\u3000-\u303f\u3400-\u9fff\ue000-\uf8ff\uf900-\ufaff"
    r"\ufe30-\ufe4f\uff00-\uff65\uffe0-\uffef\U0001f000-\U0003ffff]"
)
_HAN = re.compile(r"[\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile(r"[\u3041-\u306d\u306f-\u3096\u30a1-\u30fa]")  # の is also a Chinese ornament
_LATIN = re.compile(r"[A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff]")
_LATIN_WORDS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")

# A Chinese text may hold a Japanese name or the decorative の; a Japanese one has more kana.
_LEAST_KANA, _KANA_SHARE = 2, 0.25
# A clause has four words and one of these at least; brand names and titles of products are shorter.
_LEAST_WORDS, _LEAST_LONG_WORDS = 4, 2
# English; French; German; Spanish, Portuguese, Italian; Dutch, Nordic; Vietnamese; Turkish.
_WORDS = """
a an the of in on at is are and with for to by from his her its their
un une le la les des du de dans avec pour et sur au aux est
ein eine einen der die das dem den mit im für auf ist von
el los las con por para en y del es um uma os as com na no do da di il lo gli che per
een het van op met och med på som og
một có và của cho trong với người
bir ve için ile
"""
_FUNCTION_WORDS = frozenset(_WORDS.split())


def foreign_share(text: str) -> float:
    """Return the share of a text's letters that are in another language than Chinese.

    Chinese with foreign names is Chinese, and so are single foreign names. Texts in Latin letters
    count only as whole clauses, and shorter ones are taken for names.
    """
    if _FOREIGN.search(text) is None and _HAN.search(text) is not None:
        return 0.0
    letters = [char for char in unicodedata.normalize("NFKC", text) if char.isalpha()]
    if not letters:
        return 0.0
    han, kana, latin = (
        sum(pattern.match(char) is not None for char in letters)
        for pattern in (_HAN, _KANA, _LATIN)
    )
    if kana >= _LEAST_KANA and kana >= _KANA_SHARE * len(letters):
        return 1.0
    if latin and not han and _is_clause(text):
        return 1.0
    return (len(letters) - han - kana - latin) / len(letters)


def _is_clause(text: str) -> bool:
    """Return whether a text in Latin letters has words that only sentences and phrases have."""
    words = [word.lower() for part in re.split(r"[\s,.;:!?()/&-]+", text) for word in _whole(part)]
    long_words = sum(len(word) > 2 for word in words)
    enough = len(words) >= _LEAST_WORDS and long_words >= _LEAST_LONG_WORDS
    return enough and not _FUNCTION_WORDS.isdisjoint(words)


def _whole(part: str) -> list[str]:
    """Return a part of a text if it is a word: `a52` is a number of a model, and no article."""
    return [part] if _LATIN_WORDS.fullmatch(part) else []
