"""What a report is made from: scored runs, the bundles they searched, and texts by their id."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, InvalidRequest, UnknownItem
from tusou.core.ids import ItemId
from tusou.data.submission import Direction
from tusou.evaluation.judgments import JudgedQuery, read_judgments
from tusou_lab.evaluate.scoring import DEPTH, Scored, evaluate
from tusou_lab.evaluate.search_bundle import LiveSpec


@dataclass(frozen=True, slots=True)
class Source:
    """One run beside its answers, and the bundle it searched, where that is at hand."""

    name: str
    path: Path
    answers: str  # a file, or DATA#SPLIT
    scored: Scored
    bundle: Bundle | None

    @property
    def direction(self) -> Direction:
        """Say which way was searched."""
        return self.scored.evaluation.direction

    def queries(self) -> Iterator[tuple[JudgedQuery, tuple[ItemId, ...]]]:
        """Yield every query with its ranked items."""
        for row in self.scored.answers.rows:
            yield row, self.scored.run.rankings[row.query_id]


@dataclass(frozen=True, slots=True)
class Material:
    """All that a report may show."""

    sources: tuple[Source, ...]
    bundles: tuple[Bundle, ...]
    texts: dict[str, str]  # of every id, as text, that an answers file gives one for


def read_material(
    runs: Sequence[Path],
    answers: Sequence[str],
    bundles: Sequence[Path],
    watcher: Progress | None = None,
) -> Material:
    """Score every run against the answers of its direction; a run may be a bundle, to search.

    Answers are files, or datasets (`DATA#SPLIT`), which answer both directions. Raises
    InvalidRequest when a run has no answers of its direction, BadDataset as `evaluate`.
    """
    opened = [Bundle.open(path) for path in dict.fromkeys([*bundles, *filter(Path.is_dir, runs)])]
    directions = {one: read_judgments(one).direction for one in answers if Path(one).is_file()}
    sources = []
    for path in runs:
        wanted = _direction(path)
        fitting = [one for one in answers if directions.get(one, wanted) == wanted]
        if not fitting:
            raise InvalidRequest(
                f"{path} has no --answers of its direction; give a query file for texts that ask "
                'for images, rows of {"image_id", "text_ids"} for images that ask for texts'
            )
        scored = evaluate(path, fitting[0], spec=LiveSpec(), top_k=_depth(path), watcher=watcher)
        sources.append(Source(_name(path), path, fitting[0], scored, _searched(scored, opened)))
    return Material(tuple(sources), tuple(opened), _texts(answers, sources, opened))


def _direction(run: Path) -> Direction:
    """Say which way a run goes: by its bundle or its header, else by the names of its fields."""
    if run.is_dir():
        backwards = Bundle.open(run).items == "texts"
    else:
        with run.open("rb") as file:
            first = file.readline(2**16)
        backwards = b'"image_to_text"' in first or b'"text_ids"' in first
    return "image_to_text" if backwards else "text_to_image"


def _depth(run: Path) -> int | None:
    """Take a run file as deep as it goes; predictions hold ten items a row."""
    if run.is_dir():
        return DEPTH
    with run.open("rb") as file:
        return None if b'"tusou_run"' in file.readline(2**16) else DEPTH


def _searched(scored: Scored, opened: Sequence[Bundle]) -> Bundle | None:
    header = scored.run.header
    version = header.bundle if header else None
    if version is None:  # predictions say nothing: what was given is what was meant
        kind = "images" if scored.evaluation.direction == "text_to_image" else "texts"
        fitting = [bundle for bundle in opened if bundle.items == kind]
        return fitting[0] if len(fitting) == 1 else None
    return next((bundle for bundle in opened if bundle.version == version), None)


def _texts(
    answers: Sequence[str], sources: Sequence[Source], opened: Sequence[Bundle]
) -> dict[str, str]:
    """Find a text for every id that may be shown: in the answers, else where it was indexed."""
    rows = [row for one in answers for row in read_judgments(one).rows]
    texts = {str(row.query_id): row.text for row in rows if row.text is not None}
    indexed = [bundle for bundle in opened if bundle.items == "texts"]
    for source in sources:
        if source.direction == "image_to_text":
            found = {str(item) for _, ranked in source.queries() for item in ranked}
            for item in found - texts.keys():
                texts[item] = next((text for one in indexed if (text := _text(one, item))), item)
    return texts


def _text(bundle: Bundle, item: str) -> str | None:
    try:
        return bundle.text(item)
    except (UnknownItem, BadDataset):
        return None


def _name(path: Path) -> str:
    return path.stem if path.is_file() else path.name
