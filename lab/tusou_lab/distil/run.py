"""Trains a student for a bundle, tunes the index for it, and measures what it retains."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import numpy as np

from tusou import __version__
from tusou.cli.progress import NoProgress, Progress
from tusou.core.arrays import Vectors
from tusou.core.errors import OutputExists
from tusou.core.files import sync, temporary_of
from tusou.core.hardware import describe_machine
from tusou.encoders.student.folder import (
    Student,
    open_tokenizer,
    write_golden,
    write_record,
    write_table,
)
from tusou.encoders.student.record import (
    FORMAT,
    RECORD,
    DistillationRecord,
    StudentRecord,
    StudentSize,
    TeacherRecord,
)
from tusou.retrieval.no_encoder import require_encoder
from tusou.retrieval.pipeline import SearchPipeline
from tusou_lab.distil.compose import catalogue_texts, compose_texts
from tusou_lab.distil.fit_table import TableFit
from tusou_lab.distil.retention import JudgedTexts, measure_retention, read_judged
from tusou_lab.distil.taught import TaughtTexts, TrainingResult
from tusou_lab.distil.texts import DistillationTexts, digest_of, normal_texts, read_texts
from tusou_lab.distil.tuning import tune_index
from tusou_lab.embedding_cache import EmbeddingCache, conditions

# With fewer texts, others are composed of their words.
_ENOUGH_TEXTS = 10_000
_GOLDEN = 8


@dataclass(frozen=True, slots=True)
class DistilSpec:
    """The settings of a distillation."""

    queries: tuple[str, ...]
    size: StudentSize
    answers: tuple[str, ...] = ()
    titles: bool = False
    composed: int | None = None  # None: as many as are missing to 10,000 texts
    steps: int | None = None  # of a network
    seed: int = 0
    device: str = "auto"
    cache: Path | None = None
    interpret: bool = True  # in judged queries: subtract what they refuse, as the service does


def distil(
    root: Path,
    spec: DistilSpec,
    out: Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Student:
    """Make a student of the model of the bundle at `root`, and write its folder.

    Nothing stands at `out` until the student is finished and measured. Raises OutputExists,
    NoEncoder, and BadDataset for query files that cannot be used.
    """
    progress = progress or NoProgress()
    check_output(out, force=force)
    started = monotonic()
    teacher = SearchPipeline.open(root, device=spec.device)
    require_encoder(teacher.bundle.manifest)
    judged = read_judged(spec.answers, teacher, root)
    rng = np.random.default_rng(spec.seed)
    texts = read_texts(spec.queries, [text for each in judged for text in each.texts], rng)
    composed = _compose(teacher, texts, judged, spec, rng)
    embed = _Teacher(teacher, spec.cache, progress)
    taught = TaughtTexts((*texts.trained, *composed), embed.vectors([*texts.trained, *composed]))
    folder = temporary_of(out)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        result = _train(taught, teacher, spec, folder, rng, progress)
        manifest = teacher.bundle.manifest
        record = StudentRecord(
            format=FORMAT,
            size=spec.size,
            teacher=TeacherRecord(
                name=manifest.model.name,
                sha256=manifest.model.sha256,
                dim=manifest.model.dim,
                templates=manifest.templates,
            ),
            tokenizer="chinese-clip",
            training=DistillationRecord(
                queries=len(texts.trained),
                composed=len(composed),
                texts_sha256=digest_of(taught.texts),
                steps=result.steps,
                loss=result.loss,
                settings=result.settings | {"seed": spec.seed},
                seconds=round(monotonic() - started, 3),
                date=datetime.now(UTC).strftime("%Y-%m-%d"),
                machine=describe_machine(),
                tusou=__version__,
            ),
            files={},
        )
        student = _measure(root, teacher, record, texts, judged, folder, spec, progress)
        _put_in_place(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Student(out, student.record, student.sha256)


def check_output(out: Path, *, force: bool) -> None:
    """Raise OutputExists unless a student can be written there."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / RECORD).is_file():
        raise OutputExists(f"{out} exists and is not a student: choose another --out")
    if not force:
        raise OutputExists(f"{out} exists; use --force to replace it, or choose another --out")


class _Teacher:
    """The teacher's vectors of texts, cached on disk if there is a folder."""

    def __init__(self, pipeline: SearchPipeline, cache: Path | None, progress: Progress) -> None:
        manifest = pipeline.bundle.manifest
        self._pipeline, self._cache = pipeline, EmbeddingCache(cache, progress)
        self._conditions = conditions(
            manifest.model.sha256, manifest.prompt_text, pipeline.precision
        )

    def vectors(self, texts: Sequence[str]) -> Vectors:
        return self._cache.embed(
            texts, self._conditions, lambda missing: self._pipeline.encode_texts(missing).vectors
        )


def _compose(
    teacher: SearchPipeline,
    texts: DistillationTexts,
    judged: Sequence[JudgedTexts],
    spec: DistilSpec,
    rng: np.random.Generator,
) -> list[str]:
    """Return further texts, without those that measure the retention."""
    excluded = {*texts.held_out, *normal_texts(text for each in judged for text in each.texts)}
    titles = catalogue_texts(teacher.bundle) if spec.titles else []
    known = {*texts.trained}
    titles = [text for text in titles if text not in known and text not in excluded]
    count = spec.composed
    if count is None:
        count = max(0, _ENOUGH_TEXTS - len(texts.trained) - len(titles))
    if not count:
        return titles
    sources = [*texts.trained, *titles]
    made = compose_texts(sources, count, excluded, rng)
    return [*titles, *made]


def _train(
    taught: TaughtTexts,
    teacher: SearchPipeline,
    spec: DistilSpec,
    folder: Path,
    rng: np.random.Generator,
    progress: Progress,
) -> TrainingResult:
    tokenizer = open_tokenizer()
    if spec.size != "table":
        from tusou_lab.distil.train_network import train_network  # noqa: PLC0415 - imports torch

        return train_network(
            spec.size,
            taught,
            teacher.bundle,
            tokenizer,
            folder,
            steps=spec.steps,
            seed=spec.seed,
            device=teacher.device,
            progress=progress,
        )
    fitted = TableFit(taught.texts, taught.vectors, tokenizer).fit(rng, progress)
    write_table(folder, fitted.table)
    settings: dict[str, str | int | float] = {
        "penalty": fitted.penalty,
        "exponent": fitted.table.exponent,
        "tokens": len(fitted.table.tokens),
        "pairs": len(fitted.table.pairs),
    }
    return TrainingResult(0, 1 - fitted.cosine, settings)


def _measure(
    root: Path,
    teacher: SearchPipeline,
    record: StudentRecord,
    texts: DistillationTexts,
    judged: Sequence[JudgedTexts],
    folder: Path,
    spec: DistilSpec,
    progress: Progress,
) -> Student:
    """Tune the index for the student, measure what it retains, and write its record."""
    golden = texts.held_out[:_GOLDEN]
    encoder = Student(folder, record, "").open_encoder(spec.device, "auto", "auto")
    write_golden(folder, golden, encoder.encode(encoder.prepare(golden)))
    probes = [*texts.held_out, *normal_texts(text for each in judged for text in each.texts)]
    tuning = tune_index(teacher.bundle, encoder.encode(encoder.prepare(probes)))
    student = write_record(folder, record.model_copy(update={"tuning": tuning}))
    pipeline = SearchPipeline.open(root, device=spec.device, student=student)
    retention = measure_retention(
        teacher, pipeline, texts.held_out, judged, progress, interpret=spec.interpret
    )
    return write_record(folder, student.record.model_copy(update={"retention": retention}))


def _put_in_place(folder: Path, out: Path) -> None:
    """Replace the student at `out`; a kill leaves the old one, or for a moment none."""
    for file in folder.iterdir():
        sync(file)
    if out.exists():
        shutil.rmtree(out)
    folder.rename(out)
    sync(out.parent)
