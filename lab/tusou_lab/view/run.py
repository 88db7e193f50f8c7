"""A page of queries with the first items of each, for results without answers."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import BadDataset, InvalidRequest, OutputExists, UnknownItem
from tusou.core.files import write_file
from tusou.core.ids import ItemId
from tusou.core.json_objects import parse_text_item
from tusou.evaluation.judgments import read_judgments
from tusou.evaluation.runs import Run, read_run
from tusou_lab.evaluate.loading import load
from tusou_lab.evaluate.search_bundle import BundleSearchSpec
from tusou_lab.evaluate.validate import raise_problems
from tusou_lab.html_page import data_uri, open_templates, render_page
from tusou_lab.report.examples import ExampleTile, make_thumbnail


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """The results to show, where their items and texts are, and how much of them to show."""

    source: Path  # a run file, predictions, a TREC run, or a bundle to search
    queries: str | None = None  # a query file or DATA#SPLIT; needed to search a bundle
    bundles: tuple[Path, ...] = ()  # that hold the items, or the query images
    items: int = 10
    count: int = 100  # queries, the first ones of the file
    interpret: bool = True  # for a bundle: subtract what a text refuses, as the service does


@dataclass(frozen=True, slots=True)
class ViewRow:
    """One query with its first items."""

    query: ExampleTile
    results: tuple[ExampleTile, ...]


def write_view(
    spec: ViewSpec, out: Path, progress: Progress | None = None, *, force: bool = False
) -> int:
    """Write the page and return the number of queries it shows; answers are not needed.

    Raises OutputExists without `force`, InvalidRequest when nothing says where the items are, and
    BadDataset for results that cannot be read or whose items no bundle holds.
    """
    if out.exists() and not force:
        raise OutputExists(f"{out} exists; give --force to replace it, or another --out")
    progress = progress or NoProgress()
    run, texts = _read_results(spec, progress)
    paths = dict.fromkeys([*spec.bundles, *([spec.source] if spec.source.is_dir() else [])])
    bundles = [Bundle.open(path) for path in paths]
    if not bundles:
        raise InvalidRequest("give the bundle that was searched as --bundle: it has the images")
    shown = list(run.rankings.items())[: spec.count]
    items = {item for _, ranking in shown for item in ranking[: spec.items]}
    if items and not any(b.ids.key(str(item)) is not None for b in bundles for item in items):
        raise BadDataset(f"no item of {spec.source} is in {', '.join(map(str, paths))}")
    progress.begin("reading images", len(shown))
    rows = []
    for query_id, ranking in shown:
        rows.append(_make_row(bundles, query_id, texts.get(str(query_id)), run, ranking, spec))
        progress.advance()
    templates = open_templates("tusou_lab.view", "tusou_lab.report")
    templates.filters["data_uri"] = data_uri
    facts = {"title": spec.source.name, "total": len(run.rankings), "depth": spec.items}
    write_file(out, render_page(templates, "view.html.jinja", rows=rows, **facts))
    return len(rows)


def _read_results(spec: ViewSpec, progress: Progress) -> tuple[Run, Mapping[str, str]]:
    """Return the rankings, and the texts of the queries by id, as far as they are known."""
    if spec.source.is_dir():
        if spec.queries is None:
            raise InvalidRequest("give the --queries to search the bundle for")
        search = BundleSearchSpec(spec.items, spec.interpret)
        loaded = load(spec.source, spec.queries, search, submission=True, progress=progress)
        rows = loaded.judgments.rows
        return loaded.run, {str(row.query_id): row.text for row in rows if row.text is not None}
    run = read_run(spec.source)
    raise_problems([f"{spec.source}:{line}: {text}" for line, text in run.problems], "shown")
    if spec.queries is None:
        return run, _texts_of_rows(spec.source)
    rows = read_judgments(spec.queries, run.direction).rows
    return run, {str(row.query_id): row.text for row in rows if row.text is not None}


def _texts_of_rows(path: Path) -> dict[str, str]:
    """Return the texts that predictions repeat, as those for MUGE do."""
    texts = {}
    for line in path.read_bytes().splitlines():
        with suppress(BadDataset):
            query_id, text = parse_text_item(line)
            texts[str(query_id)] = text
    return texts


def _make_row(
    bundles: Sequence[Bundle],
    query_id: ItemId,
    text: str | None,
    run: Run,
    ranking: Sequence[ItemId],
    spec: ViewSpec,
) -> ViewRow:
    image = make_thumbnail(bundles, query_id) if text is None else None
    scores = run.scores.get(query_id, ())
    results = []
    for position, item in enumerate(ranking[: spec.items]):
        score = scores[position] if position < len(scores) else None
        stored = _read_text(bundles, item)
        thumbnail = make_thumbnail(bundles, item) if stored is None else None
        results.append(ExampleTile(str(item), thumbnail, stored, score=score))
    return ViewRow(ExampleTile(str(query_id), image, text), tuple(results))


def _read_text(bundles: Sequence[Bundle], item: ItemId) -> str | None:
    for bundle in bundles:
        with suppress(UnknownItem, BadDataset):
            if text := bundle.text(str(item)):
                return text
    return None
