"""Losses and weights of a training in two gloo processes, beside one process with their batch.

    python -m benchmarks.training_processes [--steps 12] [--batch 16] [--save]

A small model without dropout, which each process would draw otherwise, is trained for some steps on
drawn products from the same weights, in two processes with the variables of torchrun, and in one.
Both see the same batches of --batch pairs, of which each of the two processes encodes half. The
runs are stopped within their epoch, since their state files hold the weights in fp32.
"""

import argparse
import json
import os
import signal
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.multiprocessing.spawn import start_processes
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.stopping import TrainingStopped

from benchmarks.record import record
from tusou.cli.progress import NoProgress

_PROCESSES = 2
_SEED, _LR = 3, 1e-3
_ARCHITECTURE = {
    "embed_dim": 64,
    "image_resolution": 32,
    "vision_layers": 2,
    "vision_width": 64,
    "vision_patch_size": 8,
    "vocab_size": 21128,
    "text_attention_probs_dropout_prob": 0.0,
    "text_hidden_act": "gelu",
    "text_hidden_dropout_prob": 0.0,
    "text_hidden_size": 64,
    "text_initializer_range": 0.02,
    "text_intermediate_size": 128,
    "text_max_position_embeddings": 64,
    "text_num_attention_heads": 1,
    "text_num_hidden_layers": 2,
    "text_type_vocab_size": 2,
}


class StopAfter(NoProgress):
    """Stops the run after a number of steps, as Ctrl-C does."""

    def __init__(self, steps: int) -> None:
        self._left, self._training = steps, False

    def begin(self, label: str, total: int, done: int = 0) -> None:  # noqa: ARG002
        """Take note of the stage."""
        self._training = label == "training"

    def advance(self, steps: int = 1, note: str = "") -> None:  # noqa: ARG002
        """Count the steps of the training."""
        self._left -= self._training
        if self._training and not self._left:
            signal.raise_signal(signal.SIGINT)


def main() -> None:
    """Train both ways, compare, and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=16, help="pairs, over all processes")
    parser.add_argument("--save", action="store_true", help="write the result file")
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        items = (arguments.steps + 1) * arguments.batch
        write_toy(folder / "data", [SplitSize("train", items, items), SplitSize("valid", 20, 6)], 1)
        (folder / "small.json").write_text(json.dumps(_ARCHITECTURE))
        states = [
            _run(folder, count, arguments.batch, arguments.steps) for count in (1, _PROCESSES)
        ]
    figures = {"processes": _PROCESSES, "pairs of a batch": arguments.batch, "lr": _LR}
    record("training_processes", figures | _compare(*states), save=arguments.save)


def _run(folder: Path, processes: int, batch: int, steps: int) -> dict[str, Any]:
    """Train in processes of their own, and return the state of the stopped run."""
    out = folder / f"{processes}.pt"
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    os.environ.update(address, WORLD_SIZE=str(processes))
    arguments = folder, out, batch, steps
    start_processes(_train, arguments, processes, start_method="fork")  # type: ignore[no-untyped-call]
    state: dict[str, Any] = torch.load(out.with_name(out.name + ".state"), weights_only=True)
    return state


def _train(rank: int, folder: Path, out: Path, batch: int, steps: int) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    spec = TrainSpec(str(folder / "small.json"), 1, batch, _LR, 0.05, _SEED, "fp32")
    try:
        train(str(folder / "data"), spec, out, device="cpu", progress=StopAfter(steps))
    except TrainingStopped:
        return
    raise SystemExit("the run was not stopped: its weights would be compared as they are rounded")


def _compare(one: dict[str, Any], two: dict[str, Any]) -> dict[str, object]:
    losses = one["history"]["losses"], two["history"]["losses"]
    ours, theirs = one["model"], two["model"]
    names = [name for name, each in ours.items() if isinstance(each, torch.Tensor)]
    differences = {name: float((ours[name] - theirs[name]).abs().max()) for name in names}
    return {
        "steps": one["step"],
        "losses of one process": losses[0],
        "largest difference of a loss": max(abs(a - b) for a, b in zip(*losses, strict=True)),
        "largest difference of a weight": max(differences.values()),
        "of the weight": max(differences, key=lambda name: differences[name]),
    }


if __name__ == "__main__":
    main()
