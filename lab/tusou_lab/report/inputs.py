"""Inputs of a report: scored runs, the bundles they searched, and texts by id."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.bundle.model_record import CHINESE_CLIP
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, InvalidRequest, UnknownItem
from tusou.core.ids import ItemId
from tusou.data.submission import Direction
from tusou.evaluation.judgments import JudgedQuery, Judgments, read_judgments
from tusou_lab.evaluate.scoring import ScoredRun, evaluate
from tusou_lab.evaluate.search_bundle import DEPTH, BundleSearchSpec
from tusou_lab.evaluate.validate import check_coverage, list_ids
from tusou_lab.strings import Language


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """The files that a report is made from, and how it is presented."""

    runs: tuple[Path, ...]  # run files, predictions, or bundles to search
    answers: tuple[str, ...]  # files, or datasets (DATA#SPLIT), which serve both directions
    bundles: tuple[Path, ...] = ()
    sweep: Path | None = None
    title: str | None = None
    language: Language = "zh"
    examples: int = 5  # rows of images under each heading
    notes: Path | None = None  # text of the author
    ladder: Path | None = None  # what `tusou improve` wrote
    interpret: bool = True  # for bundles: subtract what a text refuses, as the service does


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
        """Return whether texts search for images, or images for texts."""
        return self.scored.evaluation.direction

    @property
    def interpreted(self) -> bool:
        """Return whether refused parts of texts were subtracted; predictions do not record it."""
        header = self.scored.run.header
        return header is None or header.settings.get("interpret") is not False

    @property
    def is_chinese_clip(self) -> bool:
        """Return whether the bundle is of a Chinese-CLIP; False without a bundle."""
        if self.bundle is None:
            return False
        return all(part.family == CHINESE_CLIP for part in self.bundle.manifest.model.parts)

    @property
    def prepares_as_cn_clip(self) -> bool:
        """Return whether the bundle's images were resized whole; False without a bundle."""
        if self.bundle is None:
            return False
        return all(part.encoder is None for part in self.bundle.manifest.model.parts)

    def rankings(self) -> Iterator[tuple[JudgedQuery, tuple[ItemId, ...]]]:
        """Yield every query with its ranked items."""
        for query in self.scored.judgments.rows:
            yield query, self.scored.run.rankings[query.query_id]


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything a report can show."""

    runs: tuple[ReportRun, ...]
    bundles: dict[Path, Bundle]
    texts: dict[str, str]  # by id, as text


def read_report_data(spec: ReportSpec, progress: Progress | None = None) -> ReportData:
    """Score every run against the answers of its direction; a run may be a bundle to search.

    Raises InvalidRequest when a run has no answers of its direction, and what `evaluate` raises.
    """
    paths = dict.fromkeys([*spec.bundles, *filter(Path.is_dir, spec.runs)])
    bundles = {path: Bundle.open(path) for path in paths}
    answers = {source: read_judgments(source) for source in spec.answers}
    runs = []
    for path in spec.runs:
        direction, depth = _inspect_run(path, bundles)
        matching = [
            source
            for source, judgments in answers.items()
            if judgments.direction == direction or not Path(source).is_file()
        ]
        if not matching:
            raise InvalidRequest(
                f"{path} has no --answers of its direction; give a query file for texts that "
                'search for images, rows of {"image_id", "text_ids"} for images that search for '
                "texts"
            )
        # A file for this direction alone says more precisely which queries a run answers.
        matching.sort(key=lambda source: not Path(source).is_file())
        scored = evaluate(path, matching[0], BundleSearchSpec(depth, spec.interpret), progress)
        name = path.stem if path.is_file() else path.name
        bundle = _searched_bundle(scored, bundles.values())
        if bundle is not None and path.is_file():
            outside = check_coverage(scored.judgments, list_ids(bundle), bundle.folder.parent)
            evaluation = replace(scored.evaluation, answers_outside_pool=outside)
            scored = replace(scored, evaluation=evaluation)
        runs.append(ReportRun(name, path, matching[0], scored, bundle))
    texts = _read_texts(answers.values(), runs, bundles.values())
    return ReportData(tuple(runs), bundles, texts)


def _inspect_run(run: Path, bundles: Mapping[Path, Bundle]) -> tuple[Direction, int | None]:
    """Return the direction of a run and the depth to score: None for all that a run file holds."""
    if run.is_dir():
        return "image_to_text" if bundles[run].items == "texts" else "text_to_image", DEPTH
    with run.open("rb") as file:
        first = file.readline(2**16)
    from_image = b'"image_to_text"' in first or b'"text_ids"' in first
    depth = None if b'"tusou_run"' in first else DEPTH
    return "image_to_text" if from_image else "text_to_image", depth


def _searched_bundle(scored: ScoredRun, opened: Collection[Bundle]) -> Bundle | None:
    header = scored.run.header
    version = header.bundle if header else None
    if version is None:  # predictions do not name their bundle: take the only one that fits
        kind = "images" if scored.evaluation.direction == "text_to_image" else "texts"
        matching = [bundle for bundle in opened if bundle.items == kind]
        return matching[0] if len(matching) == 1 else None
    return next((bundle for bundle in opened if bundle.version == version), None)


def _read_texts(
    answers: Collection[Judgments], runs: Sequence[ReportRun], opened: Collection[Bundle]
) -> dict[str, str]:
    """Return the text of every id that may be shown, from the answers or from a bundle."""
    rows = [row for judgments in answers for row in judgments.rows]
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
