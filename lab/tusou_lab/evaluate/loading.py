"""Read or make the ranked lists of a source, and check that they fit the answers."""

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId
from tusou.evaluation.judgments import Judgments, read_judgments, unify_id_types
from tusou.evaluation.runs import Run, read_run
from tusou_lab.evaluate.search_bundle import LiveSpec, search_bundle
from tusou_lab.evaluate.submissions import breaches
from tusou_lab.evaluate.validate import mismatches, pool_ids, refuse, unanswered, wrong_items

# How many items a row of predictions holds, and a bundle is asked for, unless told.
DEPTH = 10


@dataclass(frozen=True, slots=True)
class Loaded:
    """A run and the answers that fit it."""

    run: Run
    answers: Judgments
    in_pool: Set[ItemId] | None
    index_recall: dict[str, float] | None = None

    @property
    def depth(self) -> int:
        """How deep the lists can be scored."""
        return self.run.depth or DEPTH


def load(
    source: Path,
    answers: Path | str,
    pool: Path | None = None,
    spec: LiveSpec | None = None,
    *,
    top_k: int | None = None,
    submission: bool = False,
    watcher: Progress | None = None,
) -> Loaded:
    """Read a file of ranked lists, or search a bundle by `spec` for every query.

    Predictions must hold exactly `top_k` items a row (10 unless told). `pool` is the image file
    or the bundle that was searched. As a `submission` the lists need no answers, and must be what
    their contest takes. Raises BadDataset with every problem of all files at once, each with file
    and line.
    """
    if source.is_dir():
        return _searched(source, answers, spec or LiveSpec(top_k or DEPTH), submission, watcher)
    run = read_run(source, top_k or DEPTH)
    problems = [f"{source}:{line}: {problem}" for line, problem in run.problems]
    judged = Judgments(Path(answers), ())
    try:
        judged = read_judgments(answers, run.direction)
    except BadDataset as error:
        problems.append(str(error))
    else:
        if submission:
            broken = breaches(source.read_bytes(), run, judged) if not run.problems else ()
            problems += [f"{source}:{line}: {problem}" for line, problem in broken]
        else:
            problems += unanswered(judged)
        run, judged = unify_id_types(run, judged)
        problems += mismatches(run, source, judged)
    in_pool = None if pool is None else pool_ids(pool)
    if in_pool is not None and judged.textual:
        in_pool = set(map(str, in_pool))
    problems += wrong_items(run, source, judged.correct, in_pool)
    refuse(problems)
    return Loaded(run, judged, in_pool)


def _searched(
    root: Path,
    answers: Path | str,
    spec: LiveSpec,
    submission: bool,
    watcher: Progress | None,
) -> Loaded:
    texts = Bundle.open(root).manifest.items == "texts"
    asked = read_judgments(answers, "image_to_text" if texts else "text_to_image")
    refuse([] if submission else [*unanswered(asked)])
    searched = search_bundle(root, asked, spec, watcher)
    return Loaded(searched.run, asked, pool_ids(root), searched.index_recall)
