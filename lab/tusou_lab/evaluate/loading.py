"""Loads the ranked lists of a run file, or searches a bundle for them, with their judgments."""

from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.data.submission import Direction
from tusou.evaluation.judgments import Judgments, read_judgments, unify_id_types
from tusou.evaluation.runs import read_run
from tusou_lab.evaluate.search_bundle import DEPTH, BundleSearchSpec, Loaded, search_bundle
from tusou_lab.evaluate.submissions import find_breaches
from tusou_lab.evaluate.validate import (
    check_coverage,
    find_cause,
    find_mismatches,
    find_unjudged,
    find_wrong_items,
    list_ids,
    raise_problems,
    read_pool_ids,
    require_answers,
)


def load(
    source: Path,
    answers: Path | str,
    spec: BundleSearchSpec,
    *,
    submission: bool = False,
    progress: Progress | None = None,
) -> Loaded:
    """Read a run file, or search the bundle `source` for every query of `answers`.

    Predictions must hold exactly `spec.top_k` items a row. With `submission`, queries need no
    correct items, and the file must follow the rules of its contest. Raises BadDataset with every
    problem of all files, each with file and line, and InvalidRequest for a filter of a file.
    """
    _check_spec(source, spec)
    if source.is_dir():
        bundle = Bundle.open(source)
        texts = bundle.items == "texts"
        direction: Direction = "image_to_text" if texts else "text_to_image"
        judgments = read_judgments(answers, direction)
        if not submission:
            require_answers(judgments)
            raise_problems([*find_unjudged(judgments)])
            if judgments.direction == direction:
                check_coverage(judgments, list_ids(bundle), source)
        return search_bundle(source, judgments, spec, progress)
    run = read_run(source, spec.top_k or DEPTH)
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
        elif not problems:
            require_answers(judgments)
            problems += find_unjudged(judgments)
        run, judgments = unify_id_types(run, judgments)
        problems += find_mismatches(run, source, judgments)
    pool_ids = None if spec.pool is None else read_pool_ids(spec.pool)
    if pool_ids is not None and judgments.string_ids:
        pool_ids = set(map(str, pool_ids))
    if pool_ids is not None and spec.pool is not None:
        check_coverage(judgments, pool_ids, spec.pool)
    problems += find_wrong_items(run, source, judgments.correct, pool_ids)
    raise_problems(problems, cause=find_cause(run, source, judgments, pool_ids))
    return Loaded(run, judgments, pool_ids)


def _check_spec(source: Path, spec: BundleSearchSpec) -> None:
    """Raise InvalidRequest for bundle options with a file, and for options that conflict."""
    if spec.query_ids is not None and spec.query_vectors is None:
        raise InvalidRequest("--query-ids belongs to --query-vectors")
    if spec.query_encoder is not None and spec.query_vectors is not None:
        raise InvalidRequest("give --query-encoder or --query-vectors, not both")
    if source.is_dir():
        return
    given = {
        "--filter": spec.filter,
        "--query-vectors": spec.query_vectors,
        "--query-encoder": spec.query_encoder,
    }
    for option, value in given.items():
        if value is not None:
            raise InvalidRequest(f"{option} is for bundles, but {source} is a file of rankings")
