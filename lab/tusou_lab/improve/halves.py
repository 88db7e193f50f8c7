"""Halves of judged queries: one chooses settings, the other confirms the gain."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from tusou.core.errors import BadDataset
from tusou.evaluation.judgments import JudgedQuery, Judgments
from tusou.text.normalize import without_controls

Positions = npt.NDArray[np.int64]  # in the order of the judgments


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """The positions of the queries of each half, ascending."""

    choosing: Positions
    confirming: Positions


def split_halves(judgments: Judgments, seed: int) -> Halves:
    """Divide queries by the digest of seed and id; queries of the same text stay together.

    Neither the order of the file nor its other queries' items matter. Raises BadDataset when the
    queries have fewer than two different texts.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for position, row in enumerate(judgments.rows):
        groups[_text(row)].append(position)
    if len(groups) < 2:
        raise BadDataset(
            f"{judgments.path} holds {len(groups)} different queries; give at least two, since one "
            "half chooses the settings and the other confirms the gain"
        )
    choosing: list[int] = []
    confirming: list[int] = []
    for group in sorted(groups.values(), key=lambda group: _digest(judgments.rows, group, seed)):
        (choosing if len(choosing) <= len(confirming) else confirming).extend(group)
    return Halves(np.array(sorted(choosing)), np.array(sorted(confirming)))


def _text(row: JudgedQuery) -> str:
    """Return what makes two queries the same: the text, or the id of an image."""
    return f"id {row.query_id}" if row.text is None else without_controls(row.text)


def _digest(rows: Sequence[JudgedQuery], group: list[int], seed: int) -> bytes:
    first = min(str(rows[position].query_id) for position in group)
    return blake2b(f"{seed}\n{first}".encode(), digest_size=16).digest()
