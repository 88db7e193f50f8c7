"""Reading of every layout of checkpoint, and refusal of foreign files without running them."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from cn_clip.clip.model import CLIP, convert_weights

from tests.tusou.encoders.conftest import TINY
from tusou.core.arrays import Vectors
from tusou.core.errors import BadModel
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.checkpoint import read_tensors
from tusou.encoders.checkpoint_shapes import read_shapes
from tusou.encoders.tokenizer import ClipTokenizer

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


def compiled(state: State) -> State:
    return {f"_orig_mod.{name}": tensor for name, tensor in state.items()}


def flash(state: State) -> State:
    """Give a state dict the names that cn_clip's `--use-flash-attention` has in memory."""
    renamed: State = {}
    for name, tensor in state.items():
        for part in ("query", "key", "value"):
            if f"attention.self.{part}." in name:
                whole = name.replace(f"self.{part}.", "self.Wqkv.")
                renamed[whole] = torch.cat([renamed[whole], tensor]) if part != "query" else tensor
                break
        else:
            whole = name.replace("attn.in_proj_", "attn.Wqkv.")
            renamed[whole.replace("attention.output.dense.", "attention.self.out_proj.")] = tensor
    return renamed


LAYOUTS: dict[str, Callable[[State], object]] = {
    "bare": lambda state: state,
    "bare-prefixed": prefixed,
    "inside-a-dict": lambda state: {"state_dict": state},
    "pooler": lambda state: {"state_dict": with_pooler(state)},
    "pooler-prefixed": lambda state: {"state_dict": prefixed(with_pooler(state))},
    "compiled": compiled,
    "compiled-in-parallel": lambda state: {"state_dict": prefixed(compiled(state))},
    "parallel-then-compiled": lambda state: {"model": compiled(prefixed(state)), "epoch": 3},
    "model": lambda state: {"model": state, "optimizer": {}, "args": {"lr": 1e-5}},
    "model-state-dict": lambda state: {"model_state_dict": prefixed(state), "loss": 0.5},
    "lightning": lambda state: {
        "state_dict": {f"model.{name}": tensor for name, tensor in state.items()},
        "pytorch-lightning_version": "2.5.0",
        "callbacks": {},
    },
    "deepspeed": lambda state: {"module": prefixed(state), "global_steps": 7},
    "modelscope": lambda state: {
        "state_dict": {f"module.clip_model.{name}": tensor for name, tensor in state.items()}
    },
    "nested": lambda state: {"model": {"state_dict": prefixed(state)}},
    "flash-attention": lambda state: {"state_dict": prefixed(flash(state))},
    "flash-attention-bare": flash,
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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_shapes_of_every_layout_are_read_without_torch(
    tiny: "Sample", tmp_path: Path, layout: str
) -> None:
    state = dict(tiny.stock.state_dict())
    torch.save(LAYOUTS[layout](state), tmp_path / "model.pt")
    shapes = read_shapes(tmp_path / "model.pt")
    assert shapes is not None
    assert {name: shape.shape for name, shape in shapes.items()} == {
        name: tuple(tensor.shape) for name, tensor in state.items()
    }


def test_a_checkpoint_of_two_models_is_refused(tiny: "Sample", tmp_path: Path) -> None:
    state = dict(tiny.stock.state_dict())
    torch.save({"state_dict": prefixed(state) | state}, tmp_path / "model.pt")
    with pytest.raises(BadModel, match=r"has the tensor .* twice"):
        text_vectors(tmp_path / "model.pt")


def train_as_cn_clip(
    path: Path, *, freeze: bool, mask_ratio: float, half: bool, resumed: bool
) -> CLIP:
    """Take a step, or two in two processes, as cn_clip's `main.py` does, and save as it does."""
    torch.manual_seed(1)
    model = CLIP(**TINY)
    optimizer = None
    for step in range(1 + resumed):
        if freeze:
            for parameter in model.visual.parameters():
                parameter.requires_grad = False
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-3)
        if step:
            saved = torch.load(path, weights_only=True)
            state = {name[len("module.") :]: value for name, value in saved["state_dict"].items()}
            model.load_state_dict(state)
            optimizer.load_state_dict(saved["optimizer"])
        tokens = torch.tensor([[101, 5273, 102, 0], [101, 7946, 102, 0]])
        images, texts, scale = model(torch.randn(2, 3, 64, 64), tokens, mask_ratio)
        (-scale * (images * texts).sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        if half:
            convert_weights(model)
        state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
        header = {"epoch": step + 1, "step": step + 1, "name": "muge_finetune"}
        torch.save(header | {"state_dict": state, "optimizer": optimizer.state_dict()}, path)
    return model.float().eval()


@pytest.mark.parametrize(
    ("freeze", "mask_ratio", "half", "resumed"),
    [
        pytest.param(False, 0, False, False, id="fp32"),
        pytest.param(False, 0, True, False, id="fp16"),
        pytest.param(False, 0.5, False, False, id="flip"),
        pytest.param(True, 0, False, False, id="frozen-vision"),
        pytest.param(True, 0.5, False, True, id="frozen-vision-flip-resumed"),
    ],
)
def test_what_cn_clips_training_leaves_is_read(
    tmp_path: Path, freeze: bool, mask_ratio: float, half: bool, resumed: bool
) -> None:
    path = tmp_path / "epoch_latest.pt"
    options = {"freeze": freeze, "half": half, "resumed": resumed}
    model = train_as_cn_clip(path, mask_ratio=mask_ratio, **options)
    assert read_shapes(path) is not None
    tensors = read_tensors(path)
    assert set(tensors) == set(model.state_dict())
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensors[name].float(), tensor, rtol=0, atol=0)
    ids = torch.from_numpy(ClipTokenizer().prepare(["红色碎花吊带裙", "男士黑色皮鞋"]).ids)
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(model.encode_text(ids)).numpy()
    assert (text_vectors(path) * expected).sum(axis=1).min() > 0.99999


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
