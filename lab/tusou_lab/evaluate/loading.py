"""Loads the ranked lists of a run file, or searches a bundle for them, with their judgments."""

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId
from tusou.evaluation.judgments import Judgments, read_judgments, unify_id_types
from tusou.evaluation.runs import Run, read_run
from tusou_lab.evaluate.search_bundle import BundleSearchSpec, search_bundle
from tusou_lab.evaluate.submissions import find_breaches
from tusou_lab.evaluate.validate import (
    find_mismatches,
    find_unjudged,
    find_wrong_items,
    raise_problems,
    read_pool_ids,
)

# Items per query of a file of predictions and of a search, unless `top_k` is given.
DEPTH = 10


@dataclass(frozen=True, slots=True)
class Loaded:
    """A run and the judgments that fit it; `pool_ids` is None when the pool is not known."""

    run: Run
    judgments: Judgments
    pool_ids: Set[ItemId] | None
    index_recall: dict[str, float] | None = None

    @property
    def depth(self) -> int:
        """The length of the longest list, at which the run can be scored."""
        return self.run.depth or DEPTH


def load(
    source: Path,
    answers: Path | str,
    pool: Path | None = None,
    spec: BundleSearchSpec | None = None,
    *,
    top_k: int | None = None,
    submission: bool = False,
    progress: Progress | None = None,
) -> Loaded:
    """Read a run file, or search the bundle `source` by `spec` for every query of `answers`.

    Predictions must hold exactly `top_k` items a row (10 by default). `pool` is the image file
    or the bundle that was searched. With `submission`, queries need no correct items, and the
    file must follow the rules of its contest. Raises BadDataset with every problem of all files,
    each with file and line.
    """
    if source.is_dir():
        return _search(
            source, answers, spec or BundleSearchSpec(top_k or DEPTH), submission, progress
        )
    run = read_run(source, top_k or DEPTH)
    problems = [f"{source}:{line}: {problem}" for line, problem in run.problems]
    judgments = Judgments(Path(answers), ())
    try:
        judgments = read_judgments(answers, run.direction)
    except BadDataset as error:
        problems.append(str(error))
    else:
        if submission:
            rules = find_breaches(source.read_bytes(), run, judgments) if not run.problems else ()
            problems += [f"{source}:{line}: {problem}" for line, problem in rules]
        else:
            problems += find_unjudged(judgments)
        run, judgments = unify_id_types(run, judgments)
        problems += find_mismatches(run, source, judgments)
    pool_ids = None if pool is None else read_pool_ids(pool)
    if pool_ids is not None and judgments.string_ids:
        pool_ids = set(map(str, pool_ids))
    problems += find_wrong_items(run, source, judgments.correct, pool_ids)
    raise_problems(problems)
    return Loaded(run, judgments, pool_ids)


def _search(
    root: Path,
    answers: Path | str,
    spec: BundleSearchSpec,
    submission: bool,
    progress: Progress | None,
) -> Loaded:
    texts = Bundle.open(root).manifest.items == "texts"
    judgments = read_judgments(answers, "image_to_text" if texts else "text_to_image")
    raise_problems([] if submission else [*find_unjudged(judgments)])
    searched = search_bundle(root, judgments, spec, progress)
    return Loaded(searched.run, judgments, read_pool_ids(root), searched.index_recall)
