"""Plans the queries of an evaluation set: from people, from a log, and from a domain's terms."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tusou.attributes.table import AttributeTable
from tusou.core.errors import BadDataset, InputError
from tusou.text.normalize import normalize_query
from tusou_lab.evalset.domain import Domain, WrittenQuery
from tusou_lab.evalset.drawn_text import DrawnText, TextDrawer, TextWriter, WrittenText
from tusou_lab.evalset.near_texts import NearTexts
from tusou_lab.evalset.query_texts import TemplateWriter
from tusou_lab.evalset.terms import TermItems, gather_terms

_TRIES = 40  # texts that are drawn for each query of the budget
LOG = "log"  # the style and author of a query from the log
PERSON = "person:"  # begins the author of a query that a person wrote


@dataclass(frozen=True, slots=True)
class PlannedQuery:
    """A query, where it comes from, and the filter that decides which items are correct, if any."""

    query_id: int
    text: str
    concept: str | None  # None for a query of a log
    style: str
    author: str  # template, log, person:NAME, or a model with the digest of its prompt
    wanted: dict[str, Any] | None = None
    concept_filter: dict[str, Any] | None = None  # the part of it that is the concept's


@dataclass(slots=True)
class QueryPlan:
    """The planned queries, and how many texts were left out, by the reason."""

    queries: list[PlannedQuery] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def plan_queries(
    domain: Domain,
    table: AttributeTable | None,
    seed: int,
    log: Sequence[str] = (),
    log_share: float = 0.5,
    writer: TextWriter | None = None,
) -> QueryPlan:
    """Plan different queries up to the budget of a domain, or fewer if its terms allow no more.

    Queries that people wrote come first, then `log_share` of the budget from the log, if it has as
    many; `writer` writes the rest, from templates if not given. With the attributes of the pool, a
    query is only drawn if an item passes what it asks for. Raises BadDataset when there is nothing
    to draw from.
    """
    domain = gather_terms(domain, table)
    if not domain.concepts and not domain.queries and not log:
        raise BadDataset(f"the domain {domain.name!r} has no concepts, and there is no log")
    draw = random.Random(seed)  # noqa: S311 - no secret
    planner = _Planner(domain, draw)
    planner.take_given(domain.queries)
    left = domain.budget - len(planner.plan.queries)
    from_log = round(left * (log_share if domain.concepts else 1)) if log else 0
    planner.take_log(log, from_log)
    if domain.concepts:
        drawer = TextDrawer(domain, TermItems(table, domain.from_titles), draw)
        planner.draw(drawer, writer or TemplateWriter(draw))
    if not planner.plan.queries:
        raise BadDataset(
            f"no query could be planned for the domain {domain.name!r}: no item fits its terms, or "
            "every text was left out"
        )
    return planner.plan


class _Planner:
    """Collects queries, without repeating any."""

    def __init__(self, domain: Domain, draw: random.Random) -> None:
        self.plan = QueryPlan()
        self._domain, self._draw = domain, draw
        self._near = NearTexts()

    def take_given(self, queries: Sequence[WrittenQuery]) -> None:
        """Take what people wrote, up to the budget."""
        filters = {term.name: term.where for term in self._domain.concepts}
        for each in queries:
            if self._missing == 0:
                self.plan.left_out["beyond the budget"] += 1
                continue
            concept_filter = filters.get(each.concept or "") if each.where is not None else None
            author = PERSON + each.person
            self._take(each.text, each.concept, each.style, author, each.where, concept_filter)

    def take_log(self, log: Sequence[str], count: int) -> None:
        """Take different texts of a log, in random order."""
        target = len(self.plan.queries) + count
        for text in self._draw.sample(log, len(log)):
            if len(self.plan.queries) >= target:
                return
            self._take(text, None, LOG, LOG)

    def draw(self, drawer: TextDrawer, writer: TextWriter) -> None:
        """Fill the budget with texts of the domain's terms."""
        drawn = self._drawn_texts(drawer, _TRIES * self._missing)
        drawn = islice(drawn, writer.attempts * self._missing)
        while batch := list(islice(drawn, min(self._missing, writer.batch_size))):
            alternatives = writer.write(batch, self.plan.left_out)
            for each, written in zip(batch, alternatives, strict=True):
                self._take_first(each, writer, written)

    def _drawn_texts(self, drawer: TextDrawer, tries: int) -> Iterator[DrawnText]:
        for _ in range(tries):
            if (drawn := drawer.draw(self.plan.left_out)) is not None:
                yield drawn

    def _take_first(
        self, drawn: DrawnText, writer: TextWriter, written: Iterator[WrittenText]
    ) -> None:
        """Take the first alternative that is new."""
        for each in written:
            where = drawn.wanted if each.names_terms else None
            concept_filter = drawn.concept.where if where is not None else None
            name = drawn.concept.name
            if self._take(each.text, name, drawn.style, writer.author, where, concept_filter):
                return

    @property
    def _missing(self) -> int:
        return self._domain.budget - len(self.plan.queries)

    def _take(
        self,
        text: str,
        concept: str | None,
        style: str,
        author: str,
        wanted: dict[str, Any] | None = None,
        concept_filter: dict[str, Any] | None = None,
    ) -> bool:
        """Take a text, and return True, if it is a query and new."""
        try:
            text = normalize_query(text)
        except InputError:
            self.plan.left_out["not a query"] += 1
            return False
        if not self._near.add(text):
            self.plan.left_out["said already"] += 1
            return False
        number = len(self.plan.queries) + 1
        self.plan.queries.append(
            PlannedQuery(number, text, concept, style, author, wanted, concept_filter)
        )
        return True
