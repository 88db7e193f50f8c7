"""Inputs of a report: scored runs, the bundles they searched, and texts by id."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, InvalidRequest, UnknownItem
from tusou.core.ids import ItemId
from tusou.data.submission import Direction
from tusou.evaluation.judgments import JudgedQuery, read_judgments
from tusou_lab.evaluate.loading import DEPTH
from tusou_lab.evaluate.scoring import ScoredRun, evaluate
from tusou_lab.evaluate.search_bundle import BundleSearchSpec


@dataclass(frozen=True, slots=True)
class ReportRun:
    """A scored run, and the bundle it searched if that is available."""

    name: str
    path: Path
    answers: str  # a file, or DATA#SPLIT
    scored: ScoredRun
    bundle: Bundle | None

    @property
    def direction(self) -> Direction:
        """Whether texts search for images, or images for texts."""
        return self.scored.evaluation.direction

    @property
    def interpreted(self) -> bool:
        """Whether the search subtracted what a text refuses; predictions do not record it."""
        header = self.scored.run.header
        return header is None or header.settings.get("interpret") is not False

    def rankings(self) -> Iterator[tuple[JudgedQuery, tuple[ItemId, ...]]]:
        """Yield every query with its ranked items."""
        for query in self.scored.judgments.rows:
            yield query, self.scored.run.rankings[query.query_id]


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything a report can show."""

    runs: tuple[ReportRun, ...]
    bundles: tuple[Bundle, ...]
    texts: dict[str, str]  # by id, as text


def read_report_data(
    runs: Sequence[Path],
    answers: Sequence[str],
    bundles: Sequence[Path],
    progress: Progress | None = None,
) -> ReportData:
    """Score every run against the answers of its direction; a run may be a bundle to search.

    Answers are files, or datasets (`DATA#SPLIT`), which serve both directions. Raises
    InvalidRequest when a run has no answers of its direction, and what `evaluate` raises.
    """
    opened = [Bundle.open(path) for path in dict.fromkeys([*bundles, *filter(Path.is_dir, runs)])]
    directions = {
        source: read_judgments(source).direction for source in answers if Path(source).is_file()
    }
    scored_runs = []
    for path in runs:
        direction = _direction(path)
        matching = [source for source in answers if directions.get(source, direction) == direction]
        if not matching:
            raise InvalidRequest(
                f"{path} has no --answers of its direction; give a query file for texts that "
                'search for images, rows of {"image_id", "text_ids"} for images that search for '
                "texts"
            )
        scored = evaluate(
            path, matching[0], spec=BundleSearchSpec(), top_k=_depth(path), progress=progress
        )
        bundle = _searched_bundle(scored, opened)
        scored_runs.append(ReportRun(_name(path), path, matching[0], scored, bundle))
    return ReportData(tuple(scored_runs), tuple(opened), _read_texts(answers, scored_runs, opened))


def _direction(run: Path) -> Direction:
    """Return the direction of a run: of its bundle or header, or by the names of its fields."""
    if run.is_dir():
        from_image = Bundle.open(run).items == "texts"
    else:
        with run.open("rb") as file:
            first = file.readline(2**16)
        from_image = b'"image_to_text"' in first or b'"text_ids"' in first
    return "image_to_text" if from_image else "text_to_image"


def _depth(run: Path) -> int | None:
    """Return None for a run file, which is scored to its full depth, and 10 for the rest."""
    if run.is_dir():
        return DEPTH
    with run.open("rb") as file:
        return None if b'"tusou_run"' in file.readline(2**16) else DEPTH


def _searched_bundle(scored: ScoredRun, opened: Sequence[Bundle]) -> Bundle | None:
    header = scored.run.header
    version = header.bundle if header else None
    if version is None:  # predictions do not name their bundle: take the only one that fits
        kind = "images" if scored.evaluation.direction == "text_to_image" else "texts"
        matching = [bundle for bundle in opened if bundle.items == kind]
        return matching[0] if len(matching) == 1 else None
    return next((bundle for bundle in opened if bundle.version == version), None)


def _read_texts(
    answers: Sequence[str], runs: Sequence[ReportRun], opened: Sequence[Bundle]
) -> dict[str, str]:
    """Return the text of every id that may be shown, from the answers or from a bundle."""
    rows = [row for source in answers for row in read_judgments(source).rows]
    texts = {str(row.query_id): row.text for row in rows if row.text is not None}
    bundles = [bundle for bundle in opened if bundle.items == "texts"]
    for run in runs:
        if run.direction == "image_to_text":
            ranked = {str(item) for _, ranking in run.rankings() for item in ranking}
            for item in ranked - texts.keys():
                stored = (text for bundle in bundles if (text := _read_text(bundle, item)))
                texts[item] = next(stored, item)
    return texts


def _read_text(bundle: Bundle, item: str) -> str | None:
    try:
        return bundle.text(item)
    except (UnknownItem, BadDataset):
        return None


def _name(path: Path) -> str:
    return path.stem if path.is_file() else path.name
