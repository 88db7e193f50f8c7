"""Ask every question of a sweep, from a bundle's vectors and a query file."""

from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, InputError
from tusou.evaluation.judgments import Judgments, read_judgments
from tusou.indexes.specs import FaissSpec
from tusou.retrieval.compatibility import weights_of
from tusou.text.normalize import normalize_query
from tusou_lab.sweep.embeddings import QueryVectors
from tusou_lab.sweep.experiments import DEPTH, Asking, Base, Question
from tusou_lab.sweep.prompts import PUBLISHED, Prompt, with_ensemble

DEPTHS = (1, 2, 5, 10, 20, 50, 100)
PRECISIONS = ("fp32", "bf16")
_POINTS_A_LIST = 39  # with fewer FAISS doubts its clustering
_FEWEST_LISTS = 4


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """What to try; an empty list of pools or of factories stands for what suits the pool."""

    templates: tuple[str, ...] = PUBLISHED
    pools: tuple[int, ...] = ()
    top_k: tuple[int, ...] = DEPTHS
    factories: tuple[str, ...] = ()
    precisions: tuple[str, ...] = PRECISIONS  # the first one is the base of all other questions
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found, and from what."""

    bundle: str  # version
    model: str
    items: int
    queries: int
    answers_outside_pool: int
    base: dict[str, str | int]  # the setting of each question while the others are asked
    encoded: int  # texts that went through the model
    remembered: int  # texts whose vectors were on disk
    questions: tuple[Question, ...]

    def as_json(self) -> dict[str, object]:
        """Give what `sweep.json` holds."""
        return {"tusou_sweep": 1, **asdict(self)}


def sweep(
    root: Path, answers: Path | str, spec: SweepSpec, kept: Path, watcher: Progress | None = None
) -> Sweep:
    """Answer every question; embeddings of queries are kept in the folder `kept`.

    `root` is a bundle of images: its vectors are used as they are. Raises IncompatibleBundle
    when the model is not the one that made it, BadDataset for queries that cannot be used,
    InvalidRequest for a pool, a factory or a precision that cannot be.
    """
    bundle = Bundle.open(root)
    judged = read_judgments(answers)
    vectors = QueryVectors(
        kept, weights_of(bundle.manifest, bundle.manifest.model.location), watcher=watcher
    )
    base = _base(bundle, judged, spec)
    asking = Asking(base, vectors)
    factories = spec.factories or default_factories(bundle.item_count)
    questions = (
        asking.prompts(with_ensemble(spec.templates)),
        asking.pools(spec.pools or asking.pool_steps()),
        asking.depths(spec.top_k),
        asking.indexes([_faiss(factory) for factory in factories]),
        asking.precisions(spec.precisions),
    )
    return Sweep(
        bundle.version,
        bundle.model_name,
        bundle.item_count,
        len(base.texts),
        base.without_place,
        {
            "prompt": base.prompt.label,
            "pool": bundle.item_count,
            "top_k": DEPTH,
            "index": "Flat",
            "precision": base.precision,
            "seed": base.seed,
        },
        vectors.kept.encoded,
        vectors.kept.remembered,
        questions,
    )


def default_factories(count: int) -> tuple[str, ...]:
    """Name index types worth comparing over so many items, in the order of what they read."""
    most = int(min(sqrt(count), count / _POINTS_A_LIST))
    lists = 2 ** (most.bit_length() - 1) if most >= _FEWEST_LISTS else 0
    probes = [f"IVF{lists},Flat nprobe={number}" for number in (1, 4, 16) if number < lists]
    return ("Flat", "SQ8", "HNSW32", *probes)


def _faiss(factory: str) -> FaissSpec:
    """Split a factory string from the tuning that may follow it after a blank."""
    name, _, tuning = factory.strip().partition(" ")
    return FaissSpec(name, tuning.strip())


def _base(bundle: Bundle, answers: Judgments, spec: SweepSpec) -> Base:
    texts, correct, outside = [], [], 0
    problems: list[str] = []
    for row in answers.rows:
        if row.text is None or row.grades is None:
            problems.append(f"{answers.locate(row)} has no text, or no item_ids")
            continue
        try:
            texts.append(normalize_query(row.text))
        except InputError as error:
            problems.append(f"{answers.locate(row)}: {error}")
        wanted = {item for item, grade in row.grades.items() if grade > 0}
        keys = {bundle.ids.key(str(item)) for item in wanted}
        correct.append(frozenset(key for key in keys if key is not None))
        outside += len(wanted) - len(correct[-1])
    if problems:
        raise BadDataset("\n  ".join([f"unusable queries: {len(problems)}", *problems]))
    prompt = Prompt.of(bundle.manifest.prompt)
    return Base(texts, correct, bundle.vectors, prompt, spec.precisions[0], spec.seed, outside)
