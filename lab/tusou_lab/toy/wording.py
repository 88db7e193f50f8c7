"""Wordings of facts as shoppers type them into a search box."""

from collections.abc import Iterator, Mapping, Sequence

from tusou_lab.toy.catalogue import ANY_FILLERS, COLOURS, FILLERS, PATTERNS, Category
from tusou_lab.toy.patterns import Rng


def random_wording(category: Category, stated: Mapping[str, str], rng: Rng) -> str:
    """Return the stated facts in random order and synonyms, with fillers and spaces."""
    words = list(_fact_words(category, stated, rng))
    words = [words[i] for i in rng.permutation(len(words))]
    words, has_noun = _with_suffix(category, stated, words, rng)
    noun = [] if has_noun else [_pick(category.words, rng)]
    words = [*_fillers(category, rng), *words]
    return _join(
        [*noun, *words] if noun and rng.random() < 0.1 else [*words, *noun],
        rng,
    )


def _fact_words(category: Category, stated: Mapping[str, str], rng: Rng) -> Iterator[str]:
    for fact, value in stated.items():
        if fact == "colour":
            yield _pick(COLOURS[value].words, rng)
        elif fact == "pattern":
            yield _pick(PATTERNS[value], rng)
        else:
            yield _pick(category.traits[fact][value], rng)


def _with_suffix(
    category: Category, stated: Mapping[str, str], words: list[str], rng: Rng
) -> tuple[list[str], bool]:
    """Join a trait and a suffix (吊带 + 裙) now and then; return the words, and whether it did."""
    traits = {
        word
        for fact, options in category.traits.items()
        for word in options.get(stated.get(fact, ""), ())
    }
    if not (category.suffixes and traits and rng.random() < 0.4):
        return words, False
    *others, trait = sorted(words, key=lambda word: word in traits)
    return [*others, trait + _pick(category.suffixes, rng)], True


def _fillers(category: Category, rng: Rng) -> list[str]:
    count = int(rng.choice(3, p=(0.45, 0.4, 0.15)))
    words = FILLERS[category.family] + ANY_FILLERS
    return list(dict.fromkeys(_pick(words, rng) for _ in range(count)))


def _join(words: Sequence[str], rng: Rng) -> str:
    style = rng.random()
    if style < 0.6:
        return "".join(words)
    if style < 0.8:
        return " ".join(words)
    gaps = [" " if rng.random() < 0.4 else "" for _ in words[1:]]
    return words[0] + "".join(gap + word for gap, word in zip(gaps, words[1:], strict=True))


def _pick(words: Sequence[str], rng: Rng) -> str:
    return words[int(rng.integers(len(words)))]
