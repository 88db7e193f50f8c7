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

from benchmarks.converted import MaskedTexts, PixelsToVectors
from benchmarks.fidelity import compare_ranks
from benchmarks.record import record
from benchmarks.stock import queries, save_random_model, structured
from benchmarks.timing import compare
from tusou.core.arrays import Vectors
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.base import Tokens
from tusou.encoders.torch import layers

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


class TokensToVectors(nn.Module):
    """The text tower on (ids, positions, text of each token, start of each text), traceable."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.words, self.tower = tower._words.float(), MaskedTexts(tower, torch.float32)

    def forward(self, ids: Tensor, positions: Tensor, texts: Tensor, starts: Tensor) -> Tensor:
        """Return unit vectors, one row per text."""
        vectors: Tensor = self.tower(
            functional.embedding(ids, self.words), positions, texts, starts
        )
        return vectors


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
    backends = _backends(TokensToVectors(plain._tower).eval(), samples, folder)
    figures: dict[str, object] = {}
    for batch, rounds in ((1, 15), (8, 9), (32, 5)):
        tokens = prepare(queries(batch))
        variants = {name: partial(encoder.encode, tokens) for name, encoder in ours.items()}
        variants |= {
            name: partial(_encode_texts, backend, tokens) for name, backend in backends.items()
        }
        figures[f"batch {batch}"] = compare(variants, "torch, bf16", rounds, batch)
    tokens = prepare(queries(500))
    exact = ours["torch, fp32"].encode(tokens)
    pool = structured(30_000, exact.shape[1], seed=1)
    figures["beside torch, fp32"] = {
        name: compare_ranks(exact, encoder.encode(tokens), pool) for name, encoder in ours.items()
    } | {
        name: compare_ranks(exact, _encode_texts(backend, tokens), pool)
        for name, backend in backends.items()
    }
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
    backends = _backends(PixelsToVectors(plain._tower).eval(), [(pixels,)] * 2, folder)
    variants = {name: partial(encoder.encode, pixels) for name, encoder in ours.items()}
    variants |= {name: partial(backend, (pixels,)) for name, backend in backends.items()}
    exact = ours["torch, fp32"].encode(pixels)
    return {
        f"batch {_IMAGES}": compare(variants, "torch, bf16", 3, _IMAGES),
        "lowest cosine to torch, fp32": {
            name: round(float((work() * exact).sum(axis=1).min()), 6)
            for name, work in variants.items()
        },
    }


def _packed(tokens: Tokens) -> Arrays:
    ids = tokens.ids[np.argsort(np.count_nonzero(tokens.ids, axis=1), kind="stable")]
    real = ids != 0
    lengths = real.sum(axis=1)
    rows, positions = real.nonzero()
    return ids[real], positions, rows, lengths.cumsum() - lengths


def _encode_texts(backend: Backend, tokens: Tokens) -> Vectors:
    """Encode in passes of 32 texts of similar length, as our encoders do."""
    order = np.argsort(np.count_nonzero(tokens.ids, axis=1), kind="stable")
    parts = [order[start : start + 32] for start in range(0, len(order), 32)]
    encoded = [backend(_packed(Tokens(tokens.ids[rows], ()))) for rows in parts]
    vectors = np.empty((len(order), encoded[0].shape[1]), np.float32)
    vectors[order] = np.vstack(encoded)
    return vectors


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
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda arrays: np.array(request.infer(dict(enumerate(arrays)), share_inputs=True)[0])


def _onnxruntime(path: Path) -> Backend:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _CORES
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [argument.name for argument in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))[0]


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "openvino", "nncf", "onnxruntime")}


if __name__ == "__main__":
    main()
