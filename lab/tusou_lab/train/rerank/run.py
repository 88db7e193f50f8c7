"""Training of a cross-encoder over the frozen towers of a bundle's model."""

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from tusou import __version__
from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import InvalidRequest
from tusou.encoders import image_transform
from tusou.encoders.base import Weights
from tusou.encoders.cross.checkpoint import save_cross
from tusou.encoders.cross.network import CrossNetwork
from tusou.encoders.cross.towers import new_shape
from tusou.encoders.devices import pick_device
from tusou.encoders.tokenizer import ClipTokenizer
from tusou.retrieval.compatibility import find_bundle_weights
from tusou.retrieval.pipeline import SearchPipeline
from tusou_lab.train.data import SplitEncoder, check_splits, load_splits
from tusou_lab.train.early_stopping import EarlyStopping
from tusou_lab.train.files import check_kind
from tusou_lab.train.loop import LoopSettings, TrainingLoop, check_output
from tusou_lab.train.optimiser import make_optimiser, training_precision, update
from tusou_lab.train.rerank.batches import GroupSampler, RerankBatch
from tusou_lab.train.rerank.data import RerankSplitLoader
from tusou_lab.train.rerank.loss import matching_loss, start_from_cosines
from tusou_lab.train.rerank.validate import (
    ValidatedScale,
    judge_groups,
    validate_cosines,
    validate_reranking,
)
from tusou_lab.train.stopping import stop_request

_DROPOUT = 0.1
_FIRST_BATCHES = 32  # whose cosines the training starts from
_PATIENCE = 3  # epochs without a better mean_recall


@dataclass(frozen=True, slots=True)
class RerankSpec:
    """The settings that determine the result of a run, with the bundle."""

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    seed: int
    precision: str  # fp32, or bf16 for matrix products
    layers: int
    interpret: bool = True  # subtract what a query refuses, as the service does by default


@dataclass(frozen=True, slots=True)
class RerankReport:
    """The result of a finished run."""

    checkpoint: Path
    best_epoch: int
    base_mean_recall: float  # on valid, percent, in the order of the cosines
    best_mean_recall: float  # ordered again
    steps: int
    seconds: float  # of all processes, if the run was resumed
    note: str = ""  # a limit on what the figures mean


def train_reranker(
    data: str,
    spec: RerankSpec,
    bundle: Path,
    out: Path,
    *,
    valid: str | None = None,
    device: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
    workers: int = 0,
) -> RerankReport:
    """Train a cross-encoder for a bundle, and save the epoch with the best mean_recall on valid.

    The split's images are encoded by the bundle's model, and its queries with the bundle's prompt.
    The hard negatives of a query are among the 100 images that a bundle of the split would find
    for it. Data, resumption, signals and errors are those of `train`; a run also ends when
    mean_recall has not risen for three epochs. Raises InvalidRequest for a bundle whose model has
    no patch tokens.
    """
    progress = progress or NoProgress()
    check_output(out, force=force)
    check_kind(out, "file")
    target = torch.device(pick_device(device))
    task = _RerankTask(data, valid, spec, bundle, out, target, progress, workers)
    settings = LoopSettings(
        {"task": "rerank", "model": task.weights.name, **asdict(spec)},
        spec.epochs,
        spec.lr,
        spec.seed,
        # The start is a random network; the report compares with the cosines instead.
        EarlyStopping(_PATIENCE, keep_start=False),
    )
    loop = TrainingLoop(task, settings, out, target)
    loop.resume_or_start(force=force)
    with stop_request() as stop:
        loop.finish(progress, stop)
    return RerankReport(
        checkpoint=out,
        best_epoch=loop.best_epoch,
        base_mean_recall=task.base["mean_recall"],
        best_mean_recall=loop.best,
        steps=loop.step,
        seconds=loop.history.seconds,
        note=task.note,
    )


class _RerankTask:
    """The network, its optimiser and its two splits."""

    def __init__(
        self,
        data: str,
        valid: str | None,
        spec: RerankSpec,
        bundle: Path,
        out: Path,
        device: torch.device,
        progress: Progress,
        workers: int,
    ) -> None:
        pipeline = SearchPipeline.open(bundle, device=str(device))
        self.weights = _one_model(pipeline)
        self._spec, self._device = spec, device
        shape = new_shape(self.weights, spec.layers)
        torch.manual_seed(spec.seed)
        self.model = CrossNetwork(shape, _DROPOUT).to(device)
        self.optimiser = make_optimiser(self.model, spec.lr, spec.weight_decay, transformer=True)
        cache = out.parent / ".pixels"
        encoder = SplitEncoder(image_transform(self.weights), ClipTokenizer().prepare)
        train, held_out = load_splits(data, valid, encoder, cache, progress, workers)
        self.records = {"train": train.record, "valid": held_out.record}
        self.note = check_splits(train, held_out)
        loader = RerankSplitLoader(pipeline, self.weights, shape, cache, interpret=spec.interpret)
        self._valid = loader.load(held_out, progress)
        self._train = loader.load(train, progress)
        self._validated: ValidatedScale | None = None
        self.base = validate_cosines(self._valid)
        self.batches = GroupSampler(
            self._train, train.queries_of_images(), spec.batch_size, spec.seed
        )
        self.pairs_per_step = self.batches.size
        self._start_from_cosines()

    @property
    def temperature(self) -> float | None:
        return 1 / self.model.scale.item()

    def _start_from_cosines(self) -> None:
        first = list(islice(self.batches.epoch(0), _FIRST_BATCHES))
        cosines = [self._train.cosines(batch.queries, batch.images) for batch in first]
        used = torch.from_numpy(np.concatenate([batch.used for batch in first]))
        start_from_cosines(self.model, torch.from_numpy(np.concatenate(cosines)), used)

    def validate(self) -> dict[str, float]:
        self._validated = validate_reranking(self.model, self._valid, self._device)
        return self._validated.percent

    def save(self, path: Path, epoch: int, step: int, percent: Mapping[str, float]) -> None:
        """Write the network with the scale that was best on valid; the training goes on without."""
        assert self._validated is not None
        served = copy.deepcopy(self.model)
        served.rescale(self._validated.scale, self._validated.center)
        training: dict[str, str | int | float] = {
            "tool": f"tusou {__version__}",
            "epoch": epoch,
            "step": step,
            **asdict(self._spec),
            **{f"valid {name}": round(value, 4) for name, value in percent.items()},
            "valid mean_recall before": round(self.base["mean_recall"], 4),
            **{name: record.source for name, record in self.records.items()},
            **{f"{name} sha256": record.sha256 for name, record in self.records.items()},
        }
        save_cross(path, served, self.weights.digest, training)

    def train_step(self, batch: RerankBatch) -> float:
        self.model.train()
        with training_precision(self._device, self._spec.precision):
            judged = judge_groups(
                self.model, self._train, batch.queries, batch.images, self._device
            )
            cosines = self._train.cosines(batch.queries, batch.images)
            logits = self.model.scale * torch.from_numpy(cosines).to(self._device) + judged
        loss = matching_loss(logits.float(), torch.from_numpy(batch.used).to(self._device))
        update(self.model, self.optimiser, loss)
        return float(loss.detach())


def _one_model(pipeline: SearchPipeline) -> Weights:
    """Return the weights of the bundle's only model; InvalidRequest."""
    members = find_bundle_weights(pipeline.bundle.manifest).members
    if len(members) > 1 or image_transform(members[0]) != pipeline.transform:
        raise InvalidRequest(
            "--from takes a bundle of one model, without crops among its views: a cross-encoder is "
            "trained over the tokens of one tower"
        )
    return members[0]
