"""Checks that the bank of queries is not the judged queries themselves."""

from tusou.core.errors import InputError, InvalidRequest
from tusou.data import open_dataset
from tusou.evaluation.judgments import Judgments
from tusou.text.normalize import normalize_query


def count_shared(source: str, judgments: Judgments) -> tuple[int, int]:
    """Return how many of the bank's texts are judged queries, and how many texts it has.

    Vectors (.npy) count as none shared. Raises InvalidRequest when every text of the bank is a
    judged query: the gain would be measured on what the correction was made of.
    """
    if source.endswith(".npy"):
        return 0, 0
    judged = {text for row in judgments.rows if (text := _normal(row.text))}
    bank = {text for query in open_dataset(source).queries() if (text := _normal(query.text))}
    shared = len(bank & judged)
    if bank and shared == len(bank):
        raise InvalidRequest(
            "--query-bank holds judged queries only: its gain would be measured on what it is made "
            "of; give the queries of train, or those of a log"
        )
    return shared, len(bank)


def _normal(text: str | None) -> str | None:
    try:
        return None if text is None else normalize_query(text)
    except InputError:
        return None
