"""Reading of every layout of checkpoint, and refusal of foreign files without running them."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tusou.core.arrays import Vectors
from tusou.core.errors import BadModel
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.checkpoint import read_tensors

if TYPE_CHECKING:
    from tests.tusou.encoders.conftest import Sample

State = dict[str, Any]


def text_vectors(path: Path) -> Vectors:
    encoder = load_text_encoder(find_weights(str(path)), "cpu")
    return encoder.encode(encoder.prepare(["红色碎花吊带裙", "男士黑色皮鞋"]))


def image_vectors(path: Path) -> Vectors:
    pixels = np.random.default_rng(3).integers(0, 256, (2, 64, 64, 3), np.uint8)
    return load_image_encoder(find_weights(str(path)), "cpu").encode(pixels)


def with_pooler(state: State) -> State:
    pooler = {"weight": torch.ones(128, 128), "bias": torch.ones(128)}
    return state | {f"bert.pooler.dense.{name}": tensor for name, tensor in pooler.items()}


def prefixed(state: State) -> State:
    return {f"module.{name}": tensor for name, tensor in state.items()}


LAYOUTS: dict[str, Callable[[State], object]] = {
    "bare": lambda state: state,
    "bare-prefixed": prefixed,
    "inside-a-dict": lambda state: {"state_dict": state},
    "pooler": lambda state: {"state_dict": with_pooler(state)},
    "pooler-prefixed": lambda state: {"state_dict": prefixed(with_pooler(state))},
    "fine-tuned-with-optimizer": lambda state: {
        "epoch": 1,
        "step": 2,
        "name": "run",
        "state_dict": prefixed(state),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-5}]},
    },
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before-torch-1.6"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_vectors(
    tiny: "Sample", tmp_path: Path, layout: str, legacy: bool
) -> None:
    path = tmp_path / "model.pt"
    saved = LAYOUTS[layout](dict(tiny.stock.state_dict()))
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
    np.testing.assert_array_equal(text_vectors(path), text_vectors(tiny.path))
    np.testing.assert_array_equal(image_vectors(path), image_vectors(tiny.path))


def test_tensors_in_half_precision_are_read(tiny: "Sample", tmp_path: Path) -> None:
    half = {name: tensor.half() for name, tensor in tiny.stock.state_dict().items()}
    torch.save(half, tmp_path / "half.pt")
    for vectors in (text_vectors, image_vectors):
        cosine = (vectors(tmp_path / "half.pt") * vectors(tiny.path)).sum(axis=1)
        assert cosine.min() > 0.99999


def test_each_tower_loads_without_the_other(tiny: "Sample", tmp_path: Path) -> None:
    image = {k: v for k, v in tiny.stock.state_dict().items() if k.startswith("visual.")}
    text = {k: v for k, v in tiny.stock.state_dict().items() if k not in image}
    torch.save(text, tmp_path / "text.pt")
    torch.save(image, tmp_path / "image.pt")
    np.testing.assert_array_equal(text_vectors(tmp_path / "text.pt"), text_vectors(tiny.path))
    np.testing.assert_array_equal(image_vectors(tmp_path / "image.pt"), image_vectors(tiny.path))
    with pytest.raises(BadModel):
        text_vectors(tmp_path / "image.pt")


def test_an_encoder_survives_its_file_being_overwritten(tiny: "Sample", tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(tiny.path.read_bytes())
    encoder = load_text_encoder(find_weights(str(path)), "cpu")
    tokens = encoder.prepare(["裙"])
    before = encoder.encode(tokens)
    path.write_bytes(b"")
    np.testing.assert_array_equal(encoder.encode(tokens), before)


class _FileCreator:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before-torch-1.6"])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, legacy: bool) -> None:
    path, marker = tmp_path / "model.pt", tmp_path / "created"
    hostile = {"state_dict": {}, "name": _FileCreator(marker)}
    torch.save(hostile, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(BadModel, match="plain tensors"):
        read_tensors(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"id\timage\n", id="text"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", id="lfs-pointer"),
        pytest.param(pickle.dumps({"a": 1}), id="pickle"),
        pytest.param(b"PK\x05\x06" + b"\0" * 18, id="empty-zip"),
    ],
)
def test_foreign_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(BadModel):
        text_vectors(tmp_path / "model.pt")


def test_a_truncated_file_is_refused(tiny: "Sample", tmp_path: Path) -> None:
    whole = tiny.path.read_bytes()
    (tmp_path / "truncated.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadModel):
        text_vectors(tmp_path / "truncated.pt")


@pytest.mark.parametrize("content", [[1, 2], torch.ones(3), {"state_dict": 5}, {}, {1: {}}])
def test_a_file_without_a_model_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(BadModel, match="not a cn_clip checkpoint"):
        text_vectors(tmp_path / "model.pt")


def test_a_missing_tensor_is_named(tiny: "Sample", tmp_path: Path) -> None:
    state = tiny.stock.state_dict()
    del state["bert.encoder.layer.1.output.dense.bias"]
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(BadModel, match=r"layer\.1\.output\.dense\.bias.*missing"):
        text_vectors(tmp_path / "model.pt")


def test_refuses_a_model_with_a_tensor_too_many(tiny: "Sample", tmp_path: Path) -> None:
    torch.save(tiny.stock.state_dict() | {"visual.extra": torch.ones(1)}, tmp_path / "model.pt")
    with pytest.raises(BadModel, match=r"visual\.extra"):
        image_vectors(tmp_path / "model.pt")


def test_refuses_a_model_whose_tensors_contradict_each_other(
    tiny: "Sample", tmp_path: Path
) -> None:
    state = tiny.stock.state_dict()
    state["bert.encoder.layer.1.output.dense.bias"] = torch.ones(5)
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(BadModel, match=r"layer\.1\.output\.dense\.bias.*\(5,\)"):
        text_vectors(tmp_path / "model.pt")


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before-torch-1.6"])
def test_digest_shapes_and_tensors_are_of_the_same_file(
    tiny: "Sample", tmp_path: Path, legacy: bool
) -> None:
    path, other = tmp_path / "model.pt", tmp_path / "other.pt"
    state = tiny.stock.state_dict()
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=not legacy)
    torch.save({"state_dict": {}}, other)
    expected = text_vectors(path)
    weights = find_weights(str(path))
    other.replace(path)  # as a training run that publishes its next checkpoint
    encoder = load_text_encoder(weights, "cpu")
    texts = ["红色碎花吊带裙", "男士黑色皮鞋"]
    np.testing.assert_array_equal(encoder.encode(encoder.prepare(texts)), expected)
    with pytest.raises(BadModel):
        text_vectors(path)


def test_a_checkpoint_that_is_written_to_is_not_used(sample: "Sample", tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(sample.path.read_bytes())
    weights = find_weights(str(path))
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(BadModel, match=r"model.pt changed while it was read: start again"):
        load_text_encoder(weights, "cpu", backend="torch")


@pytest.mark.parametrize(
    ("keep", "data", "problem"),
    [
        (0, b"", "model.pt is empty; copy or download it again"),
        (0.6, b"", "model.pt is a zip archive that is cut off or damaged; download it again"),
        (0, b"version https://git-lfs.github.com/spec/v1\n", "model.pt is a Git LFS pointer"),
        (0, b"<!DOCTYPE html><html>404</html>", "model.pt is a web page"),
        (0, b"\x1f\x8b\x08", "model.pt is compressed with gzip"),
    ],
    ids=["empty", "half", "lfs", "html", "gzip"],
)
def test_other_files_are_called_what_they_are(
    sample: "Sample", tmp_path: Path, keep: float, data: bytes, problem: str
) -> None:
    path = tmp_path / "model.pt"
    whole = sample.path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))] + data)
    with pytest.raises(BadModel, match=problem):
        text_vectors(path)
