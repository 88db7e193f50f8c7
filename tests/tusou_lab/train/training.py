"""A small architecture and dataset for training runs, and a comparison of their weights."""

import signal
from pathlib import Path

import torch
from drawing import image_bytes
from torch.nn.functional import normalize
from tusou_lab.train.early_stopping import EarlyStopping
from tusou_lab.train.models import Features, TrainableModel
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.stopping import TrainingStopped

from tusou.cli.progress import NoProgress
from tusou.encoders.checkpoint import read_tensors

VISION = {
    "embed_dim": 64,
    "image_resolution": 32,
    "vision_layers": 1,
    "vision_width": 64,
    "vision_patch_size": 16,
}
TEXT = {
    "vocab_size": 21128,
    "text_attention_probs_dropout_prob": 0.1,
    "text_hidden_act": "gelu",
    "text_hidden_dropout_prob": 0.1,  # so that resuming has a random stream to restore
    "text_hidden_size": 64,
    "text_initializer_range": 0.02,
    "text_intermediate_size": 64,
    "text_max_position_embeddings": 64,
    "text_num_attention_heads": 1,
    "text_num_hidden_layers": 1,
    "text_type_vocab_size": 2,
}
# The best epoch is kept, even if the start was better: a few steps need not improve a tiny model.
BEST_EPOCH = EarlyStopping(keep_start=False)


def assert_same_weights(a: Path, b: Path) -> None:
    ours, theirs = read_tensors(a), read_tensors(b)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def pair_features(model: TrainableModel, pixels: torch.Tensor, tokens: torch.Tensor) -> Features:
    """Return what a loss is given, with gradients."""
    vectors = model.encode_images(pixels), model.encode_texts(tokens)
    return Features(normalize(vectors[0]), normalize(vectors[1]), *model.scale_and_bias())


SPLITS = {"train": range(16), "valid": range(16, 24)}


def write_flickr8k(folder: Path) -> str:
    (folder / "Images").mkdir(parents=True)
    for number in range(24):
        image = image_bytes(number * 3, form="PNG")
        (folder / "Images" / f"{number}.png").write_bytes(image)
    lines = (f"{number}.png#0\t{number}号连衣裙\n" for number in range(24))
    (folder / "Flickr8k.token.txt").write_text("".join(lines))
    for split, name in (("train", "train"), ("valid", "dev")):
        names = "".join(f"{number}.png\n" for number in SPLITS[split])
        (folder / f"Flickr_8k.{name}Images.txt").write_text(names)
    return str(folder)


class KillAfter(NoProgress):
    """Interrupts the run after a number of steps."""

    def __init__(self, steps: int) -> None:
        self._left: int | None = None
        self._steps = steps

    def begin(self, label: str, total: int, done: int = 0) -> None:
        if label == "training":
            self._left = self._steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        if self._left is not None:
            self._left -= 1
            if not self._left:
                raise KeyboardInterrupt


class SignalAfter(NoProgress):
    """Sends this process a signal after a number of steps."""

    def __init__(self, number: signal.Signals, steps: int) -> None:
        self._number, self._left, self._training = number, steps, False

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self._training = label == "training"

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._left -= self._training
        if self._training and not self._left:
            signal.raise_signal(self._number)


def train_until_signal(
    data: str, spec: TrainSpec, out: Path, number: signal.Signals, steps: int
) -> str:
    """Train, send this process a signal after some steps, and return how the training ended."""
    handler = signal.getsignal(number)
    try:
        report = train(data, spec, out, device="cpu", progress=SignalAfter(number, steps))
    except TrainingStopped as stopped:
        assert signal.getsignal(number) is handler
        return str(stopped)
    return f"{report.steps} steps"
