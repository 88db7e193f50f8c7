"""Contrastive training of a model on the pairs of a dataset."""

from dataclasses import dataclass
from pathlib import Path

import torch

from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import InvalidRequest
from tusou.encoders.devices import pick_device
from tusou_lab.train.contrastive import ContrastiveTask
from tusou_lab.train.loop import LoopSettings, TrainingLoop, check_output
from tusou_lab.train.models import ARCHITECTURE
from tusou_lab.train.processes import joined_processes
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.stopping import stop_request


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The result of a finished run."""

    checkpoint: Path
    # Of the model before its training, on valid, percent; None if it was not measured.
    start_mean_recall: float | None
    best_epoch: int  # 0: no epoch was better than the start, and the checkpoint has its weights
    best_mean_recall: float
    steps: int
    seconds: float  # of all processes, if the run was resumed
    note: str = ""  # a limit on what the figure means


def train(
    data: str,
    spec: TrainSpec,
    out: Path,
    *,
    valid: str | None = None,
    device: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
) -> TrainReport:
    """Train on a dataset and save the checkpoint with the best mean_recall on a valid split.

    The model is scored before its first step, too. If no epoch is better, the checkpoint has the
    weights that it started with.

    `data` is a dataset in any format, and its split `train` is used unless it names another
    (`DATA#SPLIT`). `valid` names the data to validate on; without it, the split `valid`, `dev` or
    `val` of the same dataset.

    Started by `torchrun`, several processes share each batch and train one model.

    Called again with the same arguments after a kill, it resumes from the last saved state and
    ends with the same weights. SIGINT and SIGTERM end the current step, save the state and raise
    TrainingStopped. Settings, data, losses and scores are kept in the checkpoint's record. Raises
    OutputExists when `out` exists or is of another kind than the model, InvalidRequest for adapters
    of random weights, InputError when the state of a run with other settings or other data exists,
    and BadDataset for data it cannot train on.
    """
    check_output(out, force=force)
    if spec.lora and spec.model.endswith(ARCHITECTURE):
        raise InvalidRequest(
            f"{spec.model} is an architecture with random weights, which adapters alone would "
            "leave random: leave out --lora, or give a trained model"
        )
    with joined_processes() as processes:
        bar = progress if progress and processes.is_first else NoProgress()
        target = torch.device(pick_device(device))
        task = ContrastiveTask(spec, out, data, valid, target, bar, processes)
        settings = LoopSettings(
            spec.flat() | task.settings, spec.epochs, spec.lr, spec.seed, spec.stopping
        )
        loop = TrainingLoop(task, settings, out, target, processes)
        loop.resume_or_start(force=force)
        with stop_request() as stop:
            loop.finish(bar, stop)
    start = loop.history.start
    return TrainReport(
        checkpoint=out,
        start_mean_recall=None if start is None else start["mean_recall"],
        best_epoch=loop.best_epoch,
        best_mean_recall=loop.best,
        steps=loop.step,
        seconds=loop.history.seconds,
        note=task.note,
    )
