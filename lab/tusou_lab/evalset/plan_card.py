"""The card of planned queries: their authors, styles, lengths and concepts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tusou_lab.evalset.domain import Domain, Term
from tusou_lab.evalset.plan import PlannedQuery, QueryPlan

GIVEN = "given"  # the source of a term that the domain's description names


@dataclass(frozen=True, slots=True)
class TextLengths:
    """The lengths of the texts of one style, in characters."""

    queries: int
    shortest: int
    median: float
    longest: int


@dataclass(frozen=True, slots=True)
class PlanCounts:
    """The numbers of queries, terms and left-out texts of a plan."""

    queries: int
    budget: int
    decided: int  # queries of which attributes decide what is correct
    authors: dict[str, int]
    styles: dict[str, int]
    lengths: dict[str, TextLengths]  # by style
    concepts: dict[str, int]  # queries of each; 0 for those that no query is about
    terms: dict[str, tuple[int, int]]  # by source: numbers of concepts and of values
    left_out: dict[str, int]  # texts, by the reason


def count_plan(domain: Domain, plan: QueryPlan) -> PlanCounts:
    """Count the queries of a plan; `domain` has all its terms."""
    queries = plan.queries
    named = [each.concept for each in queries if each.concept is not None]
    concepts = Counter({term.name: 0 for term in domain.concepts})
    concepts.update(named)
    styles = _counted(each.style for each in queries)
    values = [term for attribute in domain.attributes for term in attribute.values]
    return PlanCounts(
        queries=len(queries),
        budget=domain.budget,
        decided=sum(each.wanted is not None for each in queries),
        authors=_counted(each.author for each in queries),
        styles=styles,
        lengths={style: _measure(queries, style) for style in styles},
        concepts=dict(concepts.most_common()),
        terms=_count_sources(domain.concepts, values),
        left_out=dict(plan.left_out),
    )


def format_plan_card(domain: Domain, counts: PlanCounts, seed: int) -> str:
    """Return the card as Markdown."""
    lengths = {
        style: (each.queries, each.shortest, f"{each.median:g}", each.longest)
        for style, each in counts.lengths.items()
    }
    parts = [
        f"# {domain.name}: planned queries\n",
        f"{counts.queries} of {counts.budget} queries, seed {seed}.",
        f"{counts.decided} of them can be judged by the attributes of the pool.\n",
        _table(("author", "queries"), {name: (n,) for name, n in counts.authors.items()}),
        _table(("style", "queries", "shortest", "median", "longest"), lengths),
        _table(("concept", "queries"), {name: (n,) for name, n in counts.concepts.items()}),
        _table(("source of terms", "concepts", "values"), counts.terms),
        _table(("left out", "texts"), {name: (n,) for name, n in counts.left_out.items()}),
    ]
    return "\n".join(part for part in parts if part)


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _measure(queries: Sequence[PlannedQuery], style: str) -> TextLengths:
    sizes = [len(each.text) for each in queries if each.style == style]
    return TextLengths(len(sizes), min(sizes), median(sizes), max(sizes))


def _count_sources(concepts: Iterable[Term], values: Iterable[Term]) -> dict[str, tuple[int, int]]:
    of_concepts = Counter(term.source or GIVEN for term in concepts)
    of_values = Counter(term.source or GIVEN for term in values)
    return {
        source: (of_concepts[source], of_values[source])
        for source in dict.fromkeys((*of_concepts, *of_values))
    }


def _table(head: Sequence[str], rows: Mapping[str, Sequence[object]]) -> str:
    """Return a table whose first column is text and whose others are numbers; "" without rows."""
    if not rows:
        return ""
    lines = [head, ("---", *("---:" for _ in head[1:]))]
    lines += ((name.replace("|", "\\|"), *map(str, cells)) for name, cells in rows.items())
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
