"""Negated toy queries: enough of them, understood, with matching and refused items."""

from tusou_lab.toy.products import draw_facts

from benchmarks.negated_queries import negated_queries
from tusou.text.negation import parse_negation

QUERIES = negated_queries()


def test_there_are_at_least_60_different_queries() -> None:
    assert len({query.text for query in QUERIES}) == len(QUERIES) >= 60


def test_nine_in_ten_are_understood() -> None:
    understood = [query for query in QUERIES if parse_negation(query.text)]
    assert len(understood) >= 0.9 * len(QUERIES)
    for query in understood:
        parsed = parse_negation(query.text)
        assert parsed is not None
        assert query.category.words[0] in parsed.positive
        assert all(refused in query.text for refused in parsed.refused)


def test_every_query_has_matching_and_refused_items() -> None:
    pool = [draw_facts(1, "test", index)[0] for index in range(3000)]
    for query in QUERIES:
        assert sum(query.refuses(product) for product in pool) >= 3
        assert sum(query.matches(product) for product in pool) >= 10
        assert not any(query.refuses(product) and query.matches(product) for product in pool)
