"""Checks of training for every family: it learns, the library reads the result, runs resume."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train.data import SplitEncoder, load_split
from tusou_lab.train.lora import LoraSettings
from tusou_lab.train.losses import BatchTargets, LossSpec, make_loss
from tusou_lab.train.models import open_trainable
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.trained import TrainedShare

from tests.models.family_checks import (
    LibraryVectors,
    check_parity,
    draw_images,
    encode_images,
    encode_texts,
    tusou,
)
from tests.models.tiny import TEXTS
from tests.tusou_lab.train.training import BEST_EPOCH, KillAfter, pair_features
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.data import open_dataset
from tusou.encoders import find_weights
from tusou.encoders.training_record import read_record
from tusou.images.preprocess import open_image, to_pixels

STEPS = 10
# The parameters that belong to neither tower, by the names of all libraries.
SHARED = {
    "logit_bias",
    "logit_scale",
    "text.proj.0.weight",
    "text.proj.2.weight",
    "text.proj.weight",
    "text_model.head.bias",
    "text_model.head.weight",
    "text_projection",
    "text_projection.weight",
    "visual.proj",
    "visual_projection.weight",
}


@cache
def toy_data() -> Path:
    """Draw eight products to learn by heart, one batch, and twelve to validate on."""
    folder = Path(mkdtemp(prefix="toy"))
    write_toy(folder, [SplitSize("train", 8, 8), SplitSize("valid", 12, 6)], seed=1)
    return folder


def ten_steps(model: Path, **changes: object) -> TrainSpec:
    spec = TrainSpec(str(model), STEPS, 8, 2e-3, 0.001, 7, "fp32", stopping=BEST_EPOCH)
    return replace(spec, **changes)  # type: ignore[arg-type]


def losses_of(out: Path) -> list[float]:
    record = read_record(out)
    assert record is not None
    assert record.checkpoint_sha256 == find_weights(str(out)).digest
    return [loss for _, loss in record.losses]


def loss_without_noise(model: Path) -> float:
    """Return the loss of the eight pairs without dropout and shifts of the images."""
    opened = open_trainable(str(model))
    opened.network.eval()
    encoder = SplitEncoder(opened.traits.transform, opened.tokenize)
    data = toy_data()
    split = load_split(open_dataset(str(data)), "train", encoder, data / ".pixels", NoProgress())
    images = np.array([rows[0] for rows in split.correct])
    correct = np.array([np.isin(images, rows) for rows in split.correct])
    with torch.inference_mode():
        features = pair_features(
            opened, torch.from_numpy(split.pixels[images]), torch.from_numpy(split.tokens)
        )
        targets = BatchTargets(
            torch.from_numpy(correct), torch.arange(len(images)), torch.from_numpy(images)
        )
        shape = features.images.shape[1]
        loss = make_loss(
            LossSpec(), opened.traits, np.arange(len(split.pixels)), split.correct, shape
        )
        return float(loss(features, targets))


def check_training(
    model: Path,
    folder: Path,
    library_of: Callable[[Path], LibraryVectors],
    loss: str,
    *,
    falls: bool,
) -> None:
    """Assert that ten steps change the model, and that its library has the saved one's vectors."""
    assert open_trainable(str(model)).traits.loss == loss
    out = folder / "trained"
    train(str(toy_data()), ten_steps(model), out, device="cpu")
    assert len(losses_of(out)) == STEPS
    if falls:
        assert loss_without_noise(out) < loss_without_noise(model)
    check_parity(out, library_of(out))
    before, after = encode_texts(model, TEXTS), encode_texts(out, TEXTS)
    assert (before * after).sum(axis=1).min() < 0.999
    assert _files(out) == _files(model)
    pool, bundle = toy_data() / "MR_valid_imgs.tsv", folder / "bundle"
    tusou("index", str(pool), "--out", str(bundle), "--model", str(out), "--device", "cpu")
    manifest = Bundle.open(bundle).manifest
    assert manifest.model.sha256 == find_weights(str(out)).digest
    assert manifest.counts.embedded == 12


def check_forward(model: Path) -> None:
    """Assert that a model in training computes the vectors of its encoders."""
    opened = open_trainable(str(model))
    opened.network.eval()
    drawn = draw_images(4)
    pixels = np.stack([to_pixels(open_image(data), opened.traits.transform) for data in drawn])
    tokens = torch.from_numpy(opened.tokenize(TEXTS[:4]).ids)
    with torch.inference_mode():
        features = pair_features(opened, torch.from_numpy(pixels), tokens)
    np.testing.assert_allclose(features.texts.numpy(), encode_texts(model, TEXTS[:4]), atol=1e-5)
    np.testing.assert_allclose(features.images.numpy(), encode_images(model, drawn), atol=1e-5)


def check_adapters(model: Path) -> None:
    """Assert that merged adapters give the vectors of the adapters, and that each is trained."""
    opened = open_trainable(str(model))
    pixels = torch.randint(256, (4, *[opened.traits.transform.side] * 2, 3), dtype=torch.uint8)
    tokens = torch.from_numpy(opened.tokenize(TEXTS[:4]).ids)
    share = TrainedShare(opened, "none", LoraSettings(2, 4.0, "attention"))
    optimiser = torch.optim.AdamW(share.module.parameters(), 0.01)
    opened.network.eval()
    for _ in range(2):
        features = pair_features(opened, pixels, tokens)
        optimiser.zero_grad()
        (features.images * features.texts).sum().backward()
        optimiser.step()
    ups = [p for name, p in share.module.named_parameters() if name.endswith("up")]
    assert len(ups) >= 4  # a ResNet has no attention, and gets none
    assert all(up.abs().max() > 0 for up in ups)
    with torch.inference_mode():
        live = pair_features(opened, pixels, tokens)
        with share.merged():
            merged = pair_features(opened, pixels, tokens)
    torch.testing.assert_close(live.images, merged.images, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(live.texts, merged.texts, rtol=1e-5, atol=1e-5)


def check_frozen(model: Path) -> None:
    """Assert that a tower's own parameters are frozen, and projections, scale and bias are not."""
    for tower in ("vision", "text"):
        opened = open_trainable(str(model))
        TrainedShare(opened, tower, None)
        named = dict(opened.network.named_parameters())
        frozen = {name for name, p in named.items() if not p.requires_grad}
        own = {name for name in named if name not in SHARED}
        is_vision = {name: name.startswith(("vision_model.", "visual.")) for name in own}
        assert frozen == {name for name in own if is_vision[name] == (tower == "vision")}
        assert frozen
        assert len(SHARED & named.keys()) >= 3  # two projections and the scale


def check_resumption(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **mode: object
) -> None:
    """Assert that a killed run resumes to the same weights."""
    spec = ten_steps(model, epochs=4, **mode)
    whole, out = folder / "whole", folder / "killed"
    train(str(toy_data()), spec, whole, device="cpu")
    monkeypatch.setattr("tusou_lab.train.loop._SAVE_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(str(toy_data()), spec, out, device="cpu", progress=KillAfter(2))
    train(str(toy_data()), spec, out, device="cpu")
    assert losses_of(out) == losses_of(whole)
    (ours,) = (load_file(path) for path in out.glob("*.safetensors"))
    (theirs,) = (load_file(path) for path in whole.glob("*.safetensors"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())
