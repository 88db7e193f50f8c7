"""Speed of Tusou's training beside cn_clip's own script, in turn, in one process.

python -m benchmarks.training_speed [--vit-rounds N] [--save]

Both train the same checkpoint in fp32 on the same drawn products, with the same loss, the same
batch size and without augmentation; time includes loading the batches. Before that, a batch must
have the same loss in both. Needs `lmdb` and `timm`: cn_clip's training imports them.
"""

import argparse
import tempfile
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train.contrastive import ContrastiveTask
from tusou_lab.train.data import SplitEncoder, load_split
from tusou_lab.train.losses import LossSpec
from tusou_lab.train.losses.softmax import contrastive_loss
from tusou_lab.train.models import Features, open_trainable
from tusou_lab.train.optimiser import learning_rate, set_learning_rate
from tusou_lab.train.processes import Processes
from tusou_lab.train.spec import TrainSpec

from benchmarks.cn_clip_training import (
    LR,
    WEIGHT_DECAY,
    CnClipTraining,
    check_packages,
    one_process,
    write_lmdb,
)
from benchmarks.record import record
from benchmarks.stock import save_random_model
from benchmarks.timing import compare
from tusou.cli.progress import NoProgress
from tusou.data import open_dataset

_PAIRS = 100
_CPU = torch.device("cpu")
_LARGEST_DIFFERENCE = 1e-3  # between the losses of a batch


@dataclass(frozen=True, slots=True)
class Amount:
    """The work of a comparison."""

    batch_size: int
    steps: int  # of a round
    rounds: int


class TusouTraining:
    """A model, its optimiser and its data, trained by Tusou."""

    def __init__(self, model: str, data: Path, batch_size: int, steps: int, rounds: int) -> None:
        """Take a checkpoint, the steps of a call, and how many calls there will be."""
        losses = LossSpec(loss="cn_clip", duplicates="none")
        spec = TrainSpec(model, rounds, batch_size, LR, WEIGHT_DECAY, 0, "fp32", losses=losses)
        self.task = ContrastiveTask(
            spec, data / "tusou.pt", str(data), None, _CPU, NoProgress(), Processes()
        )
        self._steps, self._total = steps, steps * rounds
        self._epochs = 0

    def train(self) -> None:
        """Train `steps` steps, with their data: an epoch that ends early."""
        batches = islice(self.task.batches.epoch(self._epochs), self._steps)
        for step, batch in enumerate(batches, self._steps * self._epochs):
            torch.manual_seed(step)
            set_learning_rate(self.task.optimiser, learning_rate(step, self._total, LR))
            self.task.train_step(batch)
        self._epochs += 1


def main() -> None:
    """Compare both trainings with a small and a usual model, and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vit-rounds", type=int, default=2, help="with a ViT-B/16; 0: none")
    parser.add_argument("--save", action="store_true", help="write the result file")
    arguments = parser.parse_args()
    check_packages()
    with tempfile.TemporaryDirectory() as name, one_process():
        data, vit = Path(name) / "toy", Path(name) / "vit-b-16.pt"
        write_toy(data, [SplitSize("train", _PAIRS, _PAIRS), SplitSize("valid", 12, 4)], 3)
        lmdb = write_lmdb(data, "train")
        figures: dict[str, object] = {
            "threads": torch.get_num_threads(),
            "demo model": measure("demo", data, lmdb, Amount(16, 5, 5)),
        }
        if arguments.vit_rounds:
            save_random_model(vit)
            amount = Amount(4, 1, arguments.vit_rounds)
            figures["ViT-B/16"] = measure(str(vit), data, lmdb, amount)
    record("training_speed", figures, save=arguments.save)


def measure(model: str, data: Path, lmdb: Path, amount: Amount) -> dict[str, object]:
    """Return milliseconds a step of both trainings, after a round that is not timed."""
    sizes = amount.batch_size, amount.steps, amount.rounds + 1
    theirs, ours = CnClipTraining(model, lmdb, *sizes), TusouTraining(model, data, *sizes)
    losses = compare_losses(theirs, model, data, amount.batch_size)
    times: dict[str, Any] = compare(
        {"cn_clip": theirs.train, "tusou": ours.train}, "cn_clip", amount.rounds, amount.steps
    )
    fastest, processor = (
        [times[name][key] for name in ("cn_clip", "tusou")]
        for key in ("ms_each_fastest", "processor_ms_each")
    )
    return {
        **asdict(amount),
        "loss of a batch": losses,
        "step": times,
        "times_faster_fastest": round(fastest[0] / fastest[1], 2),
        "times_less_processor": round(processor[0] / processor[1], 2),
    }


def compare_losses(
    theirs: CnClipTraining, model: str, data: Path, batch_size: int
) -> dict[str, float]:
    """Return the loss of the first texts, with an image each, by the weights of the checkpoint."""
    opened = open_trainable(model)
    encoder = SplitEncoder(opened.traits.transform, opened.tokenize)
    split = load_split(open_dataset(str(data)), "train", encoder, data / ".pixels", NoProgress())
    # Their rows are the pairs of each query in turn.
    rows = np.cumsum([0, *(len(images) for images in split.correct)])[:batch_size].tolist()
    images, texts, _ = zip(*(theirs.data["train"].dataset[row] for row in rows), strict=True)
    positions = np.array([images[0] for images in split.correct[:batch_size]])
    opened.network.eval()
    with torch.no_grad():
        features = Features(
            normalize(opened.encode_images(torch.from_numpy(split.pixels[positions]))),
            normalize(opened.encode_texts(torch.from_numpy(split.tokens[:batch_size]))),
            *opened.scale_and_bias(),
        )
        own = torch.eye(batch_size, dtype=torch.bool)
        loss = float(contrastive_loss(features.images, features.texts, features.scale, own))
    losses = {"cn_clip": theirs.loss(torch.stack(images), torch.stack(texts)), "tusou": loss}
    if not abs(losses["cn_clip"] - losses["tusou"]) < _LARGEST_DIFFERENCE:
        raise SystemExit(f"both do not train the same: the loss of a batch is {losses}")
    return {name: round(value, 5) for name, value in losses.items()}


if __name__ == "__main__":
    main()
