"""Trains the network of a student: on the teacher's vectors, and on its ranking of the items."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tusou.bundle.bundle import Bundle
from tusou.bundle.model_record import CHINESE_CLIP
from tusou.cli.progress import Progress
from tusou.core.arrays import Ids, Vectors
from tusou.encoders import find_weights
from tusou.encoders.architecture import TextShape
from tusou.encoders.base import Tokenizer
from tusou.encoders.checkpoint import read_weights
from tusou.encoders.families import find_family
from tusou_lab.distil.fit_table import TableFit
from tusou_lab.distil.network import SHAPES, StudentNetwork
from tusou_lab.distil.taught import TaughtTexts, TrainingResult
from tusou_lab.train.optimiser import learning_rate, make_optimiser, training_precision, update

STEPS = 3000
_BATCH = 128
_SORTED = 16  # batches whose texts are sorted by length together
_ITEMS = 512  # drawn for each step
_TEMPERATURE = 0.02  # of a cosine, in the ranking of the items
_RANKING = 0.5  # weight of the ranking in the loss
_WEIGHT_DECAY = 0.01
_TABLE_TEXTS = 5_000  # that the first embeddings of tokens are solved on
_REPORTED = 50  # steps of a mean loss


def train_network(
    size: Literal["small", "medium"],
    taught: TaughtTexts,
    bundle: Bundle,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    steps: int | None,
    seed: int,
    device: str,
    progress: Progress,
) -> TrainingResult:
    """Train a network on texts with the teacher's vectors, and write its checkpoint.

    The loss is 1 - cosine with the teacher's vector, plus half the divergence between both
    encoders' softmax over items that are drawn for each step.
    """
    torch.manual_seed(seed)
    rng, target, steps = np.random.default_rng(seed), torch.device(device), steps or STEPS
    ids = tokenizer.prepare(taught.texts).ids
    shape = SHAPES[size]
    network = StudentNetwork(shape, bundle.dim, np.union1d([0], ids))
    began = _start(network, taught, bundle, tokenizer)
    network.to(target).train()
    numbers, items = network.number(ids), bundle.vectors
    optimiser = make_optimiser(network, shape.lr, _WEIGHT_DECAY, transformer=True)
    progress.begin("training the student", steps)
    losses: list[float] = []
    batches = draw_batches(np.count_nonzero(ids, axis=1), rng)
    for step, rows in zip(range(steps), batches, strict=False):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, shape.lr)
        batch = numbers[rows]
        width = int((batch != 0).sum(axis=1).max())
        tokens = torch.from_numpy(np.ascontiguousarray(batch[:, :width])).to(target)
        drawn = np.sort(rng.integers(0, len(items), min(_ITEMS, len(items))))
        with training_precision(target, "fp32"):
            loss = distillation_loss(
                network(tokens),
                _tensor(taught.vectors[rows], target),
                _tensor(items[drawn], target),
            )
        update(network, optimiser, loss)
        losses.append(float(loss.detach()))
        progress.advance(1, f"loss {np.mean(losses[-_REPORTED:]):.4f}")
    network.eval()
    network.save(folder, tokenizer.vocab_size)
    settings: dict[str, str | int | float] = {
        "layers": shape.layers,
        "width": shape.width,
        "batch": _BATCH,
        "lr": shape.lr,
        "ranking": _RANKING,
        "temperature": _TEMPERATURE,
        "started_from": began,
    }
    return TrainingResult(steps, float(np.mean(losses[-_REPORTED:])), settings)


def draw_batches(lengths: npt.NDArray[np.int64], rng: np.random.Generator) -> Iterator[Ids]:
    """Yield batches of random texts without end; the texts of a batch are of similar length.

    This saves padding. `lengths` are those of all texts, in tokens.
    """
    while True:
        rows = rng.integers(0, len(lengths), _SORTED * _BATCH)
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        yield from rng.permutation(rows.reshape(_SORTED, _BATCH))


def distillation_loss(student: Tensor, teacher: Tensor, items: Tensor) -> Tensor:
    """Return the loss of unit vectors (n, d) compared with the teacher's, over items (m, d)."""
    cosine = 1 - (student * teacher).sum(dim=1).mean()
    ours = functional.log_softmax(student @ items.T / _TEMPERATURE, dim=1)
    theirs = functional.log_softmax(teacher @ items.T / _TEMPERATURE, dim=1)
    divergence = functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return cosine + _RANKING * divergence


def _start(
    network: StudentNetwork, taught: TaughtTexts, bundle: Bundle, tokenizer: Tokenizer
) -> str:
    """Give the network its first weights; return where they are from."""
    parts = bundle.manifest.model.parts
    if len(parts) == 1:
        weights = find_weights(parts[0].location, source=parts[0].source)
        shape = find_family(weights).read_shape(weights, "text")
        if (
            isinstance(shape, TextShape)
            and parts[0].family == CHINESE_CLIP
            and network.start_from_tower(read_weights(weights), shape)
        ):
            return "teacher"
    count = min(len(taught.texts), _TABLE_TEXTS)
    fit = TableFit(taught.texts[:count], taught.vectors[:count], tokenizer)
    network.start_from_vectors(*fit.token_vectors())
    return "table"


def _tensor(vectors: Vectors, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(vectors)).to(device)
