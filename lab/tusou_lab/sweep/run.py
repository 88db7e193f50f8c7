"""Runs all experiments of a sweep over a bundle and a query file."""

from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.errors import InputError
from tusou.evaluation.judgments import Judgments, read_judgments
from tusou.indexes.specs import FaissSpec
from tusou.retrieval.compatibility import find_bundle_weights
from tusou.retrieval.query import Query
from tusou.text.normalize import normalize_query
from tusou_lab.evaluate.validate import (
    check_coverage,
    list_ids,
    raise_problems,
    require_answers,
)
from tusou_lab.sweep.experiments import DEPTH, SEED, ExperimentRunner, SweepBase, SweepExperiment
from tusou_lab.sweep.prompts import Prompt, QueryVectors, prompts_for, with_ensemble

DEPTHS = (1, 2, 5, 10, 20, 50, 100)
PRECISIONS = ("fp32", "bf16")
_POINTS_PER_LIST = 39  # FAISS warns when it trains on fewer
_LEAST_LISTS = 4


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """The values to try; empty ones are replaced by defaults that suit the pool."""

    templates: tuple[str, ...] = ()
    pools: tuple[int, ...] = ()
    top_k: tuple[int, ...] = DEPTHS
    factories: tuple[str, ...] = ()
    precisions: tuple[str, ...] = PRECISIONS  # the first is the base of all other experiments
    interpret: bool = True  # subtract what a text refuses, as the service does by default


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The rows of every experiment, and what they were measured on."""

    bundle: str  # version
    model: str
    items: int
    queries: int
    answers_outside_pool: int
    base: dict[str, str | int | bool]  # the value of each setting while others are changed
    encoded: int  # texts that went through the model
    cached: int  # texts whose vectors were on disk
    experiments: tuple[SweepExperiment, ...]
    correct_items: int = 0  # different ones, over all queries


def sweep(
    root: Path, answers: Path | str, spec: SweepSpec, cache: Path, progress: Progress | None = None
) -> SweepResult:
    """Run every experiment over a bundle of images; query embeddings are cached in a folder.

    Raises IncompatibleBundle when the model is not the one that made the bundle, BadDataset for
    queries that cannot be used, InvalidRequest for a pool size, a factory or a precision that
    does not exist.
    """
    bundle = Bundle.open(root)
    judgments = read_judgments(answers)
    weights = find_bundle_weights(bundle.manifest)
    vectors = QueryVectors(cache, weights, progress=progress)
    base = _make_base(bundle, judgments, spec)
    runner = ExperimentRunner(base, vectors)
    factories = spec.factories or default_factories(bundle.item_count)
    texts = [row.text for row in judgments.rows if row.text is not None]
    templates = spec.templates or prompts_for(Path(bundle.manifest.source.path), texts)
    # A factory string, and the tuning that may follow it after a space.
    split = [factory.strip().partition(" ") for factory in factories]
    experiments = (
        runner.compare_prompts(with_ensemble(templates)),
        runner.compare_pools(spec.pools or runner.default_pools()),
        runner.compare_depths(spec.top_k),
        runner.compare_indexes(
            [FaissSpec(factory, tuning.strip()) for factory, _, tuning in split]
        ),
        runner.compare_precisions(spec.precisions),
    )
    return SweepResult(
        bundle.version,
        bundle.model_name,
        bundle.item_count,
        len(base.queries),
        base.outside_pool,
        {
            "prompt": base.prompt.label,
            "pool": bundle.item_count,
            "top_k": DEPTH,
            "index": "Flat",
            "precision": base.precision,
            "interpret": spec.interpret,
            "seed": SEED,
        },
        vectors.cache.encoded,
        vectors.cache.cached,
        experiments,
        len(judgments.correct),
    )


def default_factories(count: int) -> tuple[str, ...]:
    """Return the index types worth comparing over `count` items."""
    most = int(min(sqrt(count), count / _POINTS_PER_LIST))
    lists = 2 ** (most.bit_length() - 1) if most >= _LEAST_LISTS else 0
    probes = [f"IVF{lists},Flat nprobe={number}" for number in (1, 4, 16) if number < lists]
    return ("Flat", "SQ8", "HNSW32", *probes)


def _make_base(bundle: Bundle, judgments: Judgments, spec: SweepSpec) -> SweepBase:
    require_answers(judgments)
    outside = check_coverage(judgments, list_ids(bundle), bundle.folder.parent)
    queries, correct = [], []
    problems: list[str] = []
    for row in judgments.rows:
        if row.text is None or row.grades is None:
            problems.append(f"{judgments.locate(row)} has no text, or no item_ids")
            continue
        try:
            text = normalize_query(row.text)
            queries.append(Query.of_text(text, DEPTH, interpret=spec.interpret))
        except InputError as error:
            problems.append(f"{judgments.locate(row)}: {error}")
        items = {item for item, grade in row.grades.items() if grade > 0}
        keys = {bundle.ids.key(str(item)) for item in items}
        correct.append(frozenset(key for key in keys if key is not None))
    raise_problems(problems, "searched")
    prompt = Prompt.of(*bundle.manifest.templates)
    return SweepBase(queries, correct, bundle.vectors, prompt, spec.precisions[0], outside)
