"""The ladder: what each rung gains and costs, and whether it is taken.

FOLDER/ladder.json                all results; `tusou report --ladder FOLDER` reads it
FOLDER/ladder.md                  the tables
FOLDER/bundle/                    the best bundle, ready to serve
FOLDER/answers/{choosing,confirming}.jsonl        the halves of the answers
FOLDER/runs/{choosing,confirming}/RUNG.jsonl      what each rung returns, for `tusou compare`
FOLDER/commands.txt               the commands that made the bundles
FOLDER/work/                      trials and bundles; a second run continues from them
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import TypeAdapter

from tusou_lab.stored_result import read_result, write_result

LADDER, PAGE, BUNDLE, RUNS, ANSWERS = "ladder.json", "ladder.md", "bundle", "runs", "answers"
CHOOSING, CONFIRMING = "choosing", "confirming"

# `no_gain`: no setting is better than none on the choosing half, so that nothing is confirmed.
Verdict: TypeAlias = Literal["taken", "no_gain", "holds_zero", "worse"]


@dataclass(frozen=True, slots=True)
class Gain:
    """One metric on the confirming half before and after, in percent; the interval is paired."""

    before: float
    after: float
    gain: float
    low: float  # 95 %
    high: float
    p: float  # of the permutation test


@dataclass(frozen=True, slots=True)
class RungCost:
    """The cost of a bundle and, measured in turn with it, of the plain one."""

    ms: float  # a query, searched alone: the mean of the fastest search of each
    plain_ms: float
    disk_mb: float  # files of the version
    plain_disk_mb: float
    memory_mb: float  # the most that a process which searches the bundle takes
    plain_memory_mb: float


@dataclass(frozen=True, slots=True)
class LadderRung:
    """A stage with the settings that the choosing half chose."""

    name: str
    above: tuple[str, ...]  # the rungs it was tried on top of; empty: alone
    settings: str  # options of `tusou stages` or `tusou index`; empty: none helped
    chosen_gain: float  # of mean_recall on the choosing half, percent; flatters the rung
    gains: dict[str, Gain]  # by metric, on the confirming half; empty: not confirmed
    p_holm: float | None  # of mean_recall, corrected for all rungs that were confirmed
    cost: RungCost | None
    verdict: Verdict
    run: str | None  # name of its files in `runs`


@dataclass(frozen=True, slots=True)
class BestBundle:
    """The plain bundle with all rungs that were taken."""

    version: str
    rungs: tuple[str, ...]
    settings: str
    gains: dict[str, Gain]  # over the plain bundle, on the confirming half
    cost: RungCost | None


@dataclass(frozen=True, slots=True)
class Ladder:
    """All rungs, alone and on top of each other, and what they were measured on."""

    bundle: str  # version
    model: str
    items: int
    answers: str
    options: tuple[str, ...]  # of `tusou improve`, beside the answers
    seed: int
    choosing: int  # queries
    confirming: int
    plain: dict[str, float]  # metric -> percent, on the confirming half
    alone: tuple[LadderRung, ...]
    together: tuple[LadderRung, ...]  # in the order in which they were put on top
    best: BestBundle
    tests: int  # confirmations: what p values are corrected for
    notes: dict[str, dict[str, int]]  # a code, with the numbers of its sentence
    machine: str
    date: str
    seconds: float


_FORMAT = 1
_LADDER_TYPE = TypeAdapter(Ladder)


def write_ladder(folder: Path, ladder: Ladder) -> None:
    """Write the data of a ladder."""
    write_result(folder / LADDER, "tusou_ladder", _FORMAT, asdict(ladder))


def read_ladder(folder: Path) -> Ladder:
    """Read the data of a ladder; raise BadDataset when the folder holds none."""
    return read_result(folder / LADDER, "tusou_ladder", _FORMAT, _LADDER_TYPE, "tusou improve")


def find_ladder(runs: Iterable[Path]) -> Path | None:
    """Return the folder of the ladder that one of the runs belongs to, or lies beside."""
    for run in runs:
        path = run.resolve()
        for folder in (*path.parents[:3], path.parent / "ladder"):
            if (folder / LADDER).is_file():
                return folder
    return None
