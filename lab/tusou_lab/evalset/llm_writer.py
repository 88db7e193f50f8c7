"""A language model that writes query texts; what it writes is checked before it is taken."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tusou.cli.progress import Progress
from tusou_lab.evalset.domain import Domain, Style, Term
from tusou_lab.evalset.drawn_text import DrawnText, WrittenText
from tusou_lab.evalset.llm_asker import LlmAsker, Question
from tusou_lab.evalset.llm_json import read_object, texts_of
from tusou_lab.evalset.writing_prompt import write_digest, write_question

NO_ANSWER = "no usable answer of the model"
NONSENSE, TOO_LONG = "not a text that people type", "too long for its style"
OFF_TOPIC = "shares nothing with its terms"
NO_REFUSAL, NO_TYPO = "does not refuse what it should", "has no typing error"

_LONGEST: dict[Style, int] = {"short": 25, "typo": 25, "sentence": 60, "refusal": 60}  # characters
_REFUSES = re.compile("[不别没无除非勿免忌拒]")
_ADDS_REFUSAL = re.compile("不要|不带|不含|不想|别要|除了|拒绝")
_MARKUP = re.compile(r"[{}\[\]<>`\n\r\\]|https?:|json|[查询]{2}[:：]", re.IGNORECASE)


class LlmWriter:
    """Writes several texts for each choice of terms and style, with one question.

    A text keeps the filter of its terms only if it names each of them and no other value.
    """

    batch_size = 1_000
    attempts = 3

    def __init__(self, asker: LlmAsker, domain: Domain, progress: Progress) -> None:
        self._asker, self._domain, self._progress = asker, domain, progress
        self._values = [term for attribute in domain.attributes for term in attribute.values]
        self.author = f"{asker.model}@{write_digest(domain)}"
        self._unused: dict[str, Iterator[str]] = {}  # by question: equal ones share the texts

    def write(
        self, batch: Sequence[DrawnText], left_out: Counter[str]
    ) -> Iterator[Iterator[WrittenText]]:
        questions = [write_question(self._domain, each) for each in batch]
        answers = self._asker.ask(questions, read_texts, "writing queries", self._progress)
        for each, question, texts in zip(batch, questions, answers, strict=True):
            if texts is None:
                left_out[NO_ANSWER] += 1
            unused = self._unused.setdefault(_key(question), iter(texts or ()))
            yield self._usable_texts(each, unused, left_out)

    def _usable_texts(
        self, drawn: DrawnText, texts: Iterator[str], left_out: Counter[str]
    ) -> Iterator[WrittenText]:
        for text in texts:
            if fault := find_fault(text, drawn):
                left_out[fault] += 1
                continue
            asks_exactly = names_terms(text, drawn) and not adds_terms(text, drawn, self._values)
            yield WrittenText(text, asks_exactly)


def read_texts(answer: str) -> list[str] | None:
    """Return the texts of an answer, each once; None if it holds none."""
    value = read_object(answer)
    return (texts_of(value.get("queries")) or None) if value is not None else None


def find_fault(text: str, drawn: DrawnText) -> str | None:
    """Return why a text is not of the style that was asked for; None if it is."""
    if _MARKUP.search(text):
        return NONSENSE
    if len(text) > _LONGEST[drawn.style]:
        return TOO_LONG
    if not any(char in text for term in _terms(drawn) for char in "".join(term.all_words)):
        return OFF_TOPIC
    refused = drawn.refused
    if refused is not None and not (_names(text, refused) and _REFUSES.search(text)):
        return NO_REFUSAL
    if drawn.style == "typo" and _count_missing(text, drawn) == 0:
        return NO_TYPO
    return None


def names_terms(text: str, drawn: DrawnText) -> bool:
    """Return whether a text names all its terms, so that their filter decides what is correct.

    A typing error may hide one term, of which half of the characters must be left.
    """
    missing = _count_missing(text, drawn)
    if missing == 0 or drawn.style != "typo":
        return missing == 0
    hidden = [term for term in (drawn.concept, *drawn.stated) if not _names(text, term)]
    return missing == 1 and any(
        2 * sum(char in text for char in word) >= len(word) for word in hidden[0].all_words
    )


def adds_terms(text: str, drawn: DrawnText, values: Iterable[Term]) -> bool:
    """Return whether a text also names another of the domain's values, or refuses something."""
    if drawn.refused is None and _ADDS_REFUSAL.search(text):
        return True
    rest = _plain(text)
    words = [word for term in _terms(drawn) for word in term.all_words]
    for word in sorted(map(_plain, words), key=len, reverse=True):
        rest = rest.replace(word, " ")
    return any(len(word) > 1 and _plain(word) in rest for term in values for word in term.all_words)


def _terms(drawn: DrawnText) -> tuple[Term, ...]:
    refused = () if drawn.refused is None else (drawn.refused,)
    return (drawn.concept, *drawn.stated, *refused)


def _count_missing(text: str, drawn: DrawnText) -> int:
    """Return how many terms a text does not name."""
    return sum(not _names(text, term) for term in _terms(drawn))


def _names(text: str, term: Term) -> bool:
    plain = _plain(text)
    return any(_plain(word) in plain for word in term.all_words)


def _plain(text: str) -> str:
    return text.casefold().replace(" ", "")


def _key(question: Question) -> str:
    return str(question.messages[-1]["content"])
