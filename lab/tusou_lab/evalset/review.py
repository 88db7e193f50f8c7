"""Reviews by people: a sample is written for them, and their grades are imported."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.core.errors import BadDataset
from tusou_lab.evalset.final_grades import PERSON, Pair
from tusou_lab.evalset.judge import JUDGMENTS, PAIRS
from tusou_lab.evalset.judgment import Judgment, PairToJudge
from tusou_lab.evalset.pool import PooledPair
from tusou_lab.evalset.review_files import show_pairs, write_review
from tusou_lab.evalset.review_import import new_judgments, read_reviews
from tusou_lab.evalset.review_sample import sample_pairs
from tusou_lab.evalset.set_folder import SetFolder


def write_sample(
    folder: SetFolder,
    bundle: Bundle,
    pairs: Sequence[PooledPair],
    judgments: Sequence[Judgment],
    out: Path,
    person: str,
    count: int,
    seed: int,
) -> int:
    """Write a sample of pairs for a person, and return their number.

    It has as many pairs of each style and machine's grade as can be, shows no grade, and is the
    same for every person, so that people can be compared. Raises InvalidRequest for an unknown
    kind of file, and BadDataset when no image can be shown.
    """
    queries = {query.query_id: query for query in folder.queries()}
    drawn = [PairToJudge(queries[pair.query_id], pair) for pair in pairs]
    chosen = sample_pairs(drawn, _machine_grades(judgments), count, seed)
    judges = sorted({each.judge for each in judgments if not each.judge.startswith(PERSON)})
    guidelines = {query: text for name in judges for query, text in folder.guidelines(name).items()}
    shown = show_pairs(chosen, guidelines, bundle)
    if not shown:
        raise BadDataset("no image of the drawn pairs can be read: is the source still there?")
    write_review(out, shown, str(folder.plan()["domain"]["name"]), person)
    return len(shown)


def import_reviews(folder: SetFolder, files: Iterable[Path], person: str | None) -> int:
    """Add the grades of files to the set, and return the number of new ones; BadDataset."""
    pairs = folder.pairs(PAIRS)
    read = [each for path in files for each in read_reviews(path, pairs, person)]
    with folder.writing() as file:
        added = new_judgments(folder.judgments(JUDGMENTS), read)
        file.append(map(asdict, added))
    return len(added)


def _machine_grades(judgments: Iterable[Judgment]) -> dict[Pair, int]:
    """Return the last grade of a pair by a judge that is not a person."""
    return {
        (each.query_id, each.item_id): each.grade
        for each in judgments
        if each.grade is not None and not each.judge.startswith(PERSON)
    }
