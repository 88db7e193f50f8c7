"""Plans the queries of an evaluation set, from the terms of a domain and a log of queries."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tusou.attributes.filters import parse_filter
from tusou.attributes.table import AttributeTable
from tusou.core.errors import BadDataset, InputError
from tusou.text.normalize import normalize_query
from tusou_lab.evalset.domain import AttributeTerms, Domain, Term
from tusou_lab.evalset.near_texts import NearTexts
from tusou_lab.evalset.query_texts import write_text

_TRIES = 40  # texts that are drawn for each query of the budget
_ATTRIBUTE_COUNTS = (0.15, 0.45, 0.3, 0.1)  # shares of texts that name 0, 1, 2 and 3 attributes
LOG = "log"  # the style and author of a query from the log


@dataclass(frozen=True, slots=True)
class PlannedQuery:
    """A query, where it comes from, and the filter that decides which items are correct, if any."""

    query_id: int
    text: str
    concept: str | None  # None for a query of a log
    style: str
    author: str  # template or log
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
) -> QueryPlan:
    """Draw the budget of a domain in queries that differ; fewer if its terms allow no more.

    With the attributes of the pool, a query is only drawn if an item passes what it asks for.
    `log_share` of the budget are texts of the log, if it has as many. Raises BadDataset when there
    is nothing to draw from.
    """
    terms = _Terms.of(domain, table)
    if not terms.concepts and not log:
        raise BadDataset(f"the domain {domain.name!r} has no concepts, and there is no log")
    planner = _Planner(domain, terms, table, random.Random(seed))  # noqa: S311 - no secret
    from_log = round(domain.budget * (log_share if terms.concepts else 1)) if log else 0
    planner.take_log(log, from_log)
    if terms.concepts:
        planner.draw(domain.budget - len(planner.plan.queries))
    if not planner.plan.queries:
        raise BadDataset(f"the domain {domain.name!r} gives no query that an item would answer")
    return planner.plan


@dataclass(frozen=True, slots=True)
class _Terms:
    """The concepts and attributes of a domain, given and taken from the pool."""

    concepts: tuple[Term, ...]
    attributes: tuple[AttributeTerms, ...]

    @classmethod
    def of(cls, domain: Domain, table: AttributeTable | None) -> "_Terms":
        source = domain.from_pool
        if source is None:
            return cls(domain.concepts, domain.attributes)
        if table is None:
            raise BadDataset("from_pool needs the attributes of a bundle: give --bundle")
        names = (source.concepts, *source.attributes)
        if missing := [name for name in names if name not in table.schema]:
            raise BadDataset(f"from_pool: the bundle has no attribute {missing[0]!r}")
        concepts = _pool_terms(table, source.concepts, source.least_items)
        attributes = [
            AttributeTerms(name=name, values=values)
            for name in source.attributes
            if (values := _pool_terms(table, name, source.least_items))
        ]
        return cls((*domain.concepts, *concepts), (*domain.attributes, *attributes))


def _pool_terms(table: AttributeTable, name: str, least: int) -> tuple[Term, ...]:
    """Return the frequent values of an attribute as terms."""
    counts = table.facet(name, limit=len(table))
    return tuple(
        Term(name=value, where={name: value})
        for value, count in counts
        if count >= least and isinstance(value, str)
    )


class _Planner:
    """Draws texts and keeps those that are new."""

    def __init__(
        self, domain: Domain, terms: _Terms, table: AttributeTable | None, draw: random.Random
    ) -> None:
        self.plan = QueryPlan()
        self._domain, self._terms, self._table, self._draw = domain, terms, table, draw
        self._near = NearTexts()

    def take_log(self, log: Sequence[str], count: int) -> None:
        """Take different texts of a log, in random order."""
        for text in self._draw.sample(log, len(log)):
            if len(self.plan.queries) == count:
                return
            self._take(text, None, LOG, LOG)

    def draw(self, count: int) -> None:
        """Draw `count` texts of the domain, in the shares of its styles."""
        wanted = len(self.plan.queries) + count
        for _ in range(_TRIES * count):
            if len(self.plan.queries) >= wanted:
                return
            self._draw_text()

    def _draw_text(self) -> None:
        (style,) = self._draw.choices(list(self._domain.styles), list(self._domain.styles.values()))
        concept = self._draw.choice(self._terms.concepts)
        refused = self._draw_refused(concept) if style == "refusal" else None
        if style == "refusal" and refused is None:
            self.plan.left_out["nothing to refuse"] += 1
            return
        stated = self._draw_stated(refused)
        filter_ = _joined(concept, stated, refused)
        if filter_ is not None and not self._passes(filter_):
            self.plan.left_out["no item passes"] += 1
            return
        words = [self._draw.choice(term.all_words) for term in stated]
        refused_word = self._draw.choice(refused.all_words) if refused else None
        concept_word = self._draw.choice(concept.all_words)
        text = write_text(self._draw, style, concept_word, words, refused_word)
        self._take(text, concept, style, "template", filter_)

    def _draw_refused(self, concept: Term) -> Term | None:
        """Draw a value that an item of the concept has; None if there is none to refuse."""
        refusable = [attribute for attribute in self._terms.attributes if attribute.refusable]
        values = [term for attribute in refusable for term in attribute.values]
        for term in self._draw.sample(values, len(values)):
            both = _joined(concept, [term], None)
            if both is None or self._passes(both):
                return term
        return None

    def _draw_stated(self, refused: Term | None) -> list[Term]:
        """Draw values of different attributes, none of them of the attribute that is refused."""
        free = [each for each in self._terms.attributes if refused not in each.values]
        (count,) = self._draw.choices(range(len(_ATTRIBUTE_COUNTS)), _ATTRIBUTE_COUNTS)
        drawn = self._draw.sample(free, min(count, len(free)))
        return [self._draw.choice(attribute.values) for attribute in drawn]

    def _passes(self, wanted: Mapping[str, Any]) -> bool:
        """Return whether an item passes; True where the pool is not known."""
        return self._table is None or bool(np.any(self._table.mask(parse_filter(wanted))))

    def _take(
        self,
        text: str,
        concept: Term | None,
        style: str,
        author: str,
        wanted: dict[str, Any] | None = None,
    ) -> None:
        try:
            text = normalize_query(text)
        except InputError:
            self.plan.left_out["not a query"] += 1
            return
        if not self._near.add(text):
            self.plan.left_out["said already"] += 1
            return
        number = len(self.plan.queries) + 1
        name = concept.name if concept else None
        concept_filter = concept.where if concept and wanted is not None else None
        self.plan.queries.append(
            PlannedQuery(number, text, name, style, author, wanted, concept_filter)
        )


def _joined(concept: Term, stated: Sequence[Term], refused: Term | None) -> dict[str, Any] | None:
    """Return the filter of everything that a text says; None if attributes do not decide it."""
    terms = [concept, *stated, *([refused] if refused else [])]
    if any(term.where is None for term in terms):
        return None
    parts: list[dict[str, Any]] = [term.where for term in (concept, *stated) if term.where]
    if refused is not None and refused.where is not None:
        parts.append({"$not": refused.where})
    return parts[0] if len(parts) == 1 else {"$and": parts}
