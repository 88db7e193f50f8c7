"""Terms of a domain that come from the pool, and the items that terms are true of."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from tusou.attributes.columns import Mask
from tusou.attributes.filters import parse_filter
from tusou.attributes.table import AttributeTable
from tusou.core.errors import BadDataset
from tusou_lab.evalset.domain import AttributeTerms, Domain, PoolTerms, Term, TitleTerms
from tusou_lab.evalset.title_search import read_titles
from tusou_lab.evalset.title_terms import find_title_terms

POOL = "pool"  # the source of a term
_LONGEST_WORD = 40  # characters of a term


def gather_terms(domain: Domain, table: AttributeTable | None) -> Domain:
    """Return the domain with the terms of the pool's attributes and titles beside those given.

    A term that is named already is left out. Raises BadDataset where the pool lacks an attribute.
    """
    concepts: list[Term] = []
    attributes: list[AttributeTerms] = []
    if domain.from_pool is not None:
        _check_pool(domain.from_pool, table)
        assert table is not None
        source = domain.from_pool
        concepts += _pool_terms(table, source.concepts, source.least_items)
        attributes += (
            AttributeTerms(name=name, values=values)
            for name in source.attributes
            if (values := _pool_terms(table, name, source.least_items))
        )
    titles = domain.from_titles
    if titles is not None and (titles.concepts or titles.values):
        if table is None:
            raise BadDataset("from_titles needs the attributes of a bundle: give --bundle")
        named, described = find_title_terms(read_titles(table, titles.attribute), titles)
        concepts += named
        attributes += described
    gathered = add_terms(domain, concepts, attributes)
    # Still used to check which terms a title names together.
    checked = titles and titles.model_copy(update={"concepts": 0, "values": 0})
    return gathered.model_copy(update={"from_pool": None, "from_titles": checked})


def add_terms(
    domain: Domain, concepts: Sequence[Term], attributes: Sequence[AttributeTerms]
) -> Domain:
    """Return the domain with more terms, without those that it names already."""
    values = [term for attribute in domain.attributes for term in attribute.values]
    named = {word for term in (*domain.concepts, *values) for word in term.all_words}
    fresh = []
    for term in concepts:
        if term.name not in named:
            fresh.append(term)
            named.add(term.name)
    groups = []
    for attribute in attributes:
        new = tuple(term for term in attribute.values if term.name not in named)
        named |= {term.name for term in new}
        if new:
            groups.append(attribute.model_copy(update={"values": new}))
    update = {
        "concepts": (*domain.concepts, *fresh),
        "attributes": (*domain.attributes, *groups),
    }
    return domain.model_copy(update=update)


class TermItems:
    """Finds the items that terms are true of, as far as attributes and titles tell."""

    def __init__(self, table: AttributeTable | None, titles: TitleTerms | None) -> None:
        """Raises BadDataset for titles that the pool does not have."""
        self._table = table
        self._titles: list[str] | None = None
        if table is not None and titles is not None:
            read = read_titles(table, titles.attribute)
            self._titles = [title.casefold() for title in read]
        self._masks: dict[str, Mask | None] = {}

    def any_pass(self, concept: Term, stated: Sequence[Term], refused: Term | None) -> bool:
        """Return whether an item may fit; True where that is not known."""
        masks = [mask for term in (concept, *stated) if (mask := self._mask(term)) is not None]
        # A title that does not name what is refused may still be of an item that has it.
        if refused is not None and refused.where is not None and self._table is not None:
            masks.append(~self._table.mask(parse_filter(refused.where)))
        return not masks or bool(np.logical_and.reduce(masks).any())

    def _mask(self, term: Term) -> Mask | None:
        """Return the items that a term is true of; None if not known."""
        key = json.dumps([term.all_words, term.where])
        if key not in self._masks:
            self._masks[key] = self._find(term)
        return self._masks[key]

    def _find(self, term: Term) -> Mask | None:
        if self._table is None:
            return None
        if term.where is not None:
            return self._table.mask(parse_filter(term.where))
        words = [word.casefold() for word in term.all_words]
        named = [any(word in title for word in words) for title in self._titles or ()]
        return np.array(named, np.bool_) if any(named) else None


def join_filters(
    concept: Term, stated: Sequence[Term], refused: Term | None
) -> dict[str, Any] | None:
    """Return the filter of everything that a text says; None if attributes do not decide it."""
    terms = [concept, *stated, *([refused] if refused else [])]
    if any(term.where is None for term in terms):
        return None
    parts: list[dict[str, Any]] = [term.where for term in (concept, *stated) if term.where]
    if refused is not None and refused.where is not None:
        parts.append({"$not": refused.where})
    return parts[0] if len(parts) == 1 else {"$and": parts}


def _check_pool(source: PoolTerms, table: AttributeTable | None) -> None:
    if table is None:
        raise BadDataset("from_pool needs the attributes of a bundle: give --bundle")
    names = (source.concepts, *source.attributes)
    if missing := [name for name in names if name not in table.schema]:
        raise BadDataset(f"from_pool: the bundle has no attribute {missing[0]!r}")


def _pool_terms(table: AttributeTable, name: str, least: int) -> tuple[Term, ...]:
    """Return the frequent values of an attribute as terms."""
    counts = table.facet(name, limit=len(table))
    return tuple(
        Term(name=value, where={name: value}, source=POOL)
        for value, count in counts
        if count >= least and isinstance(value, str) and 0 < len(value) <= _LONGEST_WORD
    )
