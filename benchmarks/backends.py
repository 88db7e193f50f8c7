"""Speed of the same towers in torch, OpenVINO and ONNX Runtime on this processor.

uv pip install nncf onnx onnxruntime     (into an environment that has Tusou's own)
python -m benchmarks.backends

Tusou's own backends are compared with two that it does not use: ONNX Runtime, and int8 with scales
that nncf calibrates beforehand. For these, texts are one packed row of tokens with a mask that
separates them. Every backend may use all cores; they take turns in one process.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.fidelity import compare_ranks
from benchmarks.record import record
from benchmarks.stock import queries, save_random_model, structured
from benchmarks.timing import compare
from tusou.core.arrays import Vectors
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.base import Tokens
from tusou.encoders.torch import layers
from tusou.encoders.torch.encoder import to_input

_CORES = torch.get_num_threads()
_OURS = [
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
]
_IMAGES = 8

Arrays = tuple[npt.NDArray[Any], ...]
Backend = Callable[[Arrays], Vectors]


def main() -> None:
    """Measure and record."""
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        save_random_model(folder / "vit-b-16.pt")
        figures: dict[str, object] = {"versions": _versions(), "texts": measure_texts(folder)}
        record("backends", figures)
        record("backends", figures | {"images": measure_images(folder)})


class MaskedTextTower(nn.Module):
    """The text tower on (ids, positions, text of each token, start of each text), traceable."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, ids: Tensor, positions: Tensor, texts: Tensor, starts: Tensor) -> Tensor:
        """Return features of each text."""
        tower = self.tower
        words = functional.embedding(ids, tower._words.float())
        rows = tower._norm(words + functional.embedding(positions, tower._positions))
        mask = torch.where(texts[:, None] == texts[None, :], 0.0, -1e4)[None, None]
        for block in tower._blocks:
            query, key, value = block.qkv(rows).chunk(3, dim=1)
            if block is tower._blocks[-1]:
                query, rows, mask = query[starts], rows[starts], mask[:, :, starts]
            query, key, value = (
                part.reshape(1, -1, tower._heads, part.shape[1] // tower._heads).transpose(1, 2)
                for part in (query, key, value)
            )
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            mixed = mixed.transpose(1, 2).reshape(-1, rows.shape[1])
            rows = block.attention_norm(rows + block.out(mixed))
            rows = block.mlp_norm(rows + block.down(block.up(rows)))
        features: Tensor = tower._projection(rows)
        return features


class PlainImages(nn.Module):
    """The image tower on (n, size, size, 3) uint8."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features of each image."""
        features: Tensor = self.tower(to_input(pixels))
        return features


def measure_texts(folder: Path) -> dict[str, object]:
    """Encode 1, 8 and 32 texts of 8 tokens on average, tokenised beforehand."""
    weights = find_weights(str(folder / "vit-b-16.pt"))
    ours = {
        f"{backend}, {precision}": load_text_encoder(weights, "cpu", None, precision, backend)
        for backend, precision in _OURS
    }
    prepare = ours["torch, fp32"].prepare
    with patch.object(layers, "_can_pack", return_value=False):
        plain: Any = load_text_encoder(weights, "cpu", None, "fp32", "torch")
    samples = [_packed(prepare(queries(300)[start : start + 12])) for start in range(0, 300, 12)]
    backends = _backends(MaskedTextTower(plain._tower).eval(), samples, folder)
    figures: dict[str, object] = {}
    for batch, rounds in ((1, 15), (8, 9), (32, 5)):
        tokens = prepare(queries(batch))
        ways = {name: partial(one.encode, tokens) for name, one in ours.items()}
        ways |= {name: partial(_in_order, one, tokens) for name, one in backends.items()}
        figures[f"batch {batch}"] = compare(ways, "torch, bf16", rounds, batch)
    tokens = prepare(queries(500))
    right = ours["torch, fp32"].encode(tokens)
    pool = structured(30_000, right.shape[1], seed=1)
    figures["beside torch, fp32"] = {
        name: compare_ranks(right, one.encode(tokens), pool) for name, one in ours.items()
    } | {name: compare_ranks(right, _in_order(one, tokens), pool) for name, one in backends.items()}
    return figures


def measure_images(folder: Path) -> dict[str, object]:
    """Encode 8 images of 224 pixels, decoded beforehand."""
    weights = find_weights(str(folder / "vit-b-16.pt"))
    ours = {
        f"{backend}, {precision}": load_image_encoder(weights, "cpu", precision, backend)
        for backend, precision in _OURS
    }
    with patch.object(layers, "_can_pack", return_value=False):
        plain: Any = load_image_encoder(weights, "cpu", "fp32", "torch")
    # Tracing fixes the number of images in the graph.
    pixels = np.random.default_rng(0).integers(0, 256, (_IMAGES, 224, 224, 3), np.uint8)
    backends = _backends(PlainImages(plain._tower).eval(), [(pixels,)] * 2, folder)
    ways = {name: partial(one.encode, pixels) for name, one in ours.items()}
    ways |= {name: partial(_of_images, one, pixels) for name, one in backends.items()}
    right = ours["torch, fp32"].encode(pixels)
    return {
        f"batch {_IMAGES}": compare(ways, "torch, bf16", 3, _IMAGES),
        "lowest cosine to torch, fp32": {
            name: round(float((work() * right).sum(axis=1).min()), 6) for name, work in ways.items()
        },
    }


def _packed(tokens: Tokens) -> Arrays:
    ids = tokens.ids[np.argsort(np.count_nonzero(tokens.ids, axis=1), kind="stable")]
    real = ids != 0
    lengths = real.sum(axis=1)
    rows, positions = real.nonzero()
    return ids[real], positions, rows, lengths.cumsum() - lengths


def _in_order(backend: Backend, tokens: Tokens) -> Vectors:
    """Encode in passes of 32 texts of similar length, as our encoders do."""
    order = np.argsort(np.count_nonzero(tokens.ids, axis=1), kind="stable")
    parts = [order[start : start + 32] for start in range(0, len(order), 32)]
    encoded = [backend(_packed(Tokens(tokens.ids[rows], ()))) for rows in parts]
    vectors = np.empty((len(order), encoded[0].shape[1]), np.float32)
    vectors[order] = np.vstack(encoded)
    return _unit(vectors)


def _of_images(backend: Backend, pixels: npt.NDArray[np.uint8]) -> Vectors:
    return _unit(backend((pixels,)))


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _backends(module: nn.Module, samples: list[Arrays], folder: Path) -> dict[str, Backend]:
    import nncf
    import openvino

    example = tuple(torch.from_numpy(array) for array in samples[0])
    path = folder / "model.onnx"
    torch.onnx.export(
        module,
        example,
        path,
        dynamo=False,
        input_names=list("abcd")[: len(example)],
        dynamic_axes={name: {0: name} for name in list("abcd")[: len(example)]},
        opset_version=17,
    )
    model = openvino.convert_model(module, example_input=example)
    static = nncf.quantize(model, nncf.Dataset(samples), model_type=nncf.ModelType.TRANSFORMER)
    return {
        "openvino, int8 by nncf, calibrated": _openvino(static),
        "ONNX Runtime, fp32": _onnxruntime(path),
    }


def _openvino(model: Any) -> Backend:
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    ask = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda arrays: np.array(ask.infer(dict(enumerate(arrays)), share_inputs=True)[0])


def _onnxruntime(path: Path) -> Backend:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _CORES
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))[0]


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "openvino", "nncf", "onnxruntime")}


if __name__ == "__main__":
    main()
