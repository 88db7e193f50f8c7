"""Contrastive training of a model on the pairs of a dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import InputError, InvalidRequest
from tusou.encoders.devices import pick_device
from tusou.encoders.training_record import TrainingRecord, read_record
from tusou_lab.train.contrastive import ContrastiveTask
from tusou_lab.train.diagnosis import loss_fell
from tusou_lab.train.history import TrainingHistory
from tusou_lab.train.loop import (
    OF_THE_MACHINE,
    LoopSettings,
    TrainingLoop,
    check_output,
    is_unfinished,
)
from tusou_lab.train.models import ARCHITECTURE
from tusou_lab.train.monitor import open_monitor
from tusou_lab.train.processes import joined_processes
from tusou_lab.train.sources import parse_sources
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.stopping import stop_request


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The result of a finished run."""

    checkpoint: Path
    start_mean_recall: float | None  # before training, on valid, percent; None: not measured
    best_epoch: int  # 0: no epoch was better than the start, and the checkpoint has its weights
    best_mean_recall: float
    steps: int
    seconds: float  # of all processes, if the run was resumed
    note: str = ""  # a limit on what the figure means
    findings: tuple[str, ...] = ()  # what may have hindered the training, and what to do


def train(
    data: str,
    spec: TrainSpec,
    out: Path,
    *,
    valid: str | None = None,
    device: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
    further: Sequence[str] = (),
    workers: int = 0,
    tensorboard: Path | None = None,
    why: bool = False,
) -> TrainReport:
    """Train on a dataset and save the checkpoint with the best mean_recall on a valid split.

    The model is scored before its first step, too. If no epoch is better, the checkpoint has the
    weights that it started with.

    `data` is a dataset in any format, and its split `train` is used unless it names another
    (`DATA#SPLIT`). `further` are more such sources. Each may have a weight, as in `DATA:0.3`: how
    often an epoch visits its pairs. `valid` names the data to validate on; without it, the split
    `valid`, `dev` or `val` of `data`. Images are decoded by `workers` processes, 0: one for each
    core. `tensorboard` is a folder for TensorBoard's files.

    The report says what may have hindered the training if the loss did not fall or no epoch was
    better than the start, and always if asked `why`. Asked about a finished run, with the same
    arguments, it says so without training again.

    Started by `torchrun`, several processes share each batch and train one model.

    Called again with the same arguments after a kill, it resumes from the last saved state and
    ends with the same weights. SIGINT and SIGTERM end the current step, save the state and raise
    TrainingStopped. Settings, data, losses and scores are kept in the checkpoint's record. Raises
    OutputExists when `out` exists or is of another kind than the model, InvalidRequest for adapters
    of random weights, InputError when the state of a run with other settings or other data exists,
    and BadDataset for data it cannot train on.
    """
    record = None if force or not why or is_unfinished(out) else _read_record(out)
    if record is None:
        check_output(out, force=force)
    if spec.lora and spec.model.endswith(ARCHITECTURE):
        raise InvalidRequest(
            f"{spec.model} is an architecture with random weights, which adapters alone would "
            "leave random: leave out --lora, or give a trained model"
        )
    sources = parse_sources(data, further)
    with joined_processes() as processes:
        bar = progress if progress and processes.is_first else NoProgress()
        monitor = open_monitor(tensorboard if processes.is_first else None)
        target = torch.device(pick_device(device))
        task = ContrastiveTask(spec, out, sources, valid, target, bar, processes, workers)
        settings = LoopSettings(
            spec.flat() | task.settings, spec.epochs, spec.lr, spec.seed, spec.stopping
        )
        if record is not None:
            return _explain(record, out, settings, task, bar)
        loop = TrainingLoop(task, settings, out, target, processes, monitor)
        loop.resume_or_start(force=force)
        with stop_request() as stop:
            loop.finish(bar, stop)
        reasons = why if processes.is_first else None
        return _report(out, loop.history, loop.history.seconds, task, bar, why=reasons)


def _read_record(out: Path) -> TrainingRecord | None:
    return read_record(out) if out.exists() else None


def _explain(
    record: TrainingRecord,
    out: Path,
    settings: LoopSettings,
    task: ContrastiveTask,
    progress: Progress,
) -> TrainReport:
    """Report on a finished run; InputError if it had other settings or other data."""
    recorded = {name: each for name, each in record.settings.items() if name not in OF_THE_MACHINE}
    same_settings = recorded == settings.spec
    if not same_settings or task.records != {"train": record.train, "valid": record.valid}:
        inputs = "data" if same_settings else "settings"
        raise InputError(
            f"{out} was trained with other {inputs}; repeat its {inputs} to ask why, or pass "
            "--force to train again"
        )
    history = TrainingHistory.of_record(record)
    return _report(out, history, record.seconds, task, progress, why=True)


def _report(
    out: Path,
    history: TrainingHistory,
    seconds: float,
    task: ContrastiveTask,
    progress: Progress,
    *,
    why: bool | None,
) -> TrainReport:
    """Return the report, with causes always, if they may be needed, or (None) never."""
    best_epoch, best = history.best()
    findings: list[str] = []
    if why or (why is False and not (best_epoch and loss_fell(history.losses))):
        findings = [finding.text for finding in task.diagnose(history, progress)]
        if why and not findings:
            findings = ["no known cause hinders this training"]
    return TrainReport(
        checkpoint=out,
        start_mean_recall=None if history.start is None else history.start["mean_recall"],
        best_epoch=best_epoch,
        best_mean_recall=best,
        steps=len(history.losses),
        seconds=seconds,
        note=task.note,
        findings=tuple(findings),
    )
