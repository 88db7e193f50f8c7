"""The correct items of judgments that a pool holds."""

from collections.abc import Iterable, Set

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId, is_canonical_integer
from tusou.evaluation.runs import quote_id


def count_outside(correct: Set[ItemId], pool: Set[ItemId], answers: object, source: object) -> int:
    """Return how many of the correct items the pool lacks.

    Raises BadDataset when it holds none of them, since every score would be 0: the message names
    the kinds of ids of both, or says that the answers belong to another pool. `answers` and
    `source` name them in the message.
    """
    missing = len(correct - pool)
    if not correct or not pool or missing < len(correct):
        return missing
    kinds, pool_kinds = _kinds(correct), _kinds(pool)
    if kinds.isdisjoint(pool_kinds):
        raise BadDataset(
            f"the ids of the correct items in {answers} are {describe_ids(correct)}, those of "
            f"{source} are {describe_ids(pool)}: none can match; use the same kind of ids in both"
        )
    raise BadDataset(
        f"none of the {len(correct)} correct items of {answers} (such as {_example(correct)}) is "
        f"in {source} (which holds {_example(pool)}): these are probably the answers of another "
        "split or pool"
    )


def describe_ids(ids: Iterable[ItemId]) -> str:
    """Return the kind of ids with an example, for a message: `integers (such as 7)`."""
    ids = list(ids)
    kinds = _kinds(ids)
    if kinds == {int}:
        return f"integers (such as {_example(ids)})"
    if kinds == {str}:
        return f"strings (such as {_example(ids)})"
    return f"partly integers, partly strings (such as {_example(ids)})"


def _kinds(ids: Iterable[ItemId]) -> set[type]:
    return {type(item_id) for item_id in ids}


def _example(ids: Iterable[ItemId]) -> str:
    """Return the smallest id as JSON; among strings, preferably one that is not an integer."""
    ids = list(ids)
    names = [item_id for item_id in ids if not is_canonical_integer(str(item_id))]
    return quote_id(min(names or ids, key=lambda item_id: (len(str(item_id)), str(item_id))))
