"""Graphs that `openvino.convert_model` traces from the torch towers, beside the hand-built ones.

python -m benchmarks.converted

Both are run by the same encoders, in the same passes, with the same settings and in turn in one
process, so that the graph is all that differs. Texts are one packed row of tokens with a mask that
keeps each text to itself, since a trace cannot follow the torch tower's groups of equal length.
"""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import openvino
import torch
from openvino import opset13 as ops
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.fidelity import compare_ranks
from benchmarks.record import record
from benchmarks.stock import queries, save_random_model, structured
from benchmarks.timing import fastest_in_turn
from tusou.encoders import Weights, find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.openvino.runtime import CompiledModel
from tusou.encoders.torch import layers
from tusou.encoders.torch.encoder import to_input

_PRECISIONS = ("fp32", "bf16", "int8")
_BATCHES = (1, 32)
_IMAGES = 8
_ROUNDS = 15
_TEXTS, _ITEMS = 500, 30_000

Encoders = dict[str, Any]


def main() -> None:
    """Measure, print a table and record the figures."""
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        path = Path(folder, "vit-b-16.pt")
        save_random_model(path, spread=True)
        weights = find_weights(str(path))
        figures = measure_texts(weights) | measure_images(weights)
    print("| work | hand-built | converted | converted / hand-built |\n|---|---|---|---|")
    for name, row in figures.items():
        print(f"| {name} | {row['hand-built']} | {row['converted']} | {row.get('ratio', '')} |")
    record("converted", dict(figures))


class MaskedTexts(nn.Module):
    """The text tower on the inputs of the hand-built graph: (words, positions, texts, starts)."""

    def __init__(self, tower: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.tower, self.dtype = tower, dtype

    def forward(self, words: Tensor, positions: Tensor, texts: Tensor, starts: Tensor) -> Tensor:
        """Return unit vectors, one row per text."""
        tower, start_rows = self.tower, starts.long()
        rows = tower._norm(words + functional.embedding(positions.long(), tower._positions))
        mask = torch.where(texts[:, None] == texts[None, :], 0.0, -1e4)[None, None].to(self.dtype)
        for block in tower._blocks:
            query, key, value = block.qkv(rows).chunk(3, dim=1)
            if block is tower._blocks[-1]:
                query, rows, mask = query[start_rows], rows[start_rows], mask[:, :, start_rows]
            query, key, value = (
                part.reshape(1, -1, tower._heads, part.shape[1] // tower._heads).transpose(1, 2)
                for part in (query, key, value)
            )
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            mixed = mixed.transpose(1, 2).reshape(-1, tower._positions.shape[1])
            rows = block.attention_norm(rows + block.out(mixed))
            rows = block.mlp_norm(rows + block.down(block.up(rows)))
        return functional.normalize(tower._projection(rows).float())


class PixelsToVectors(nn.Module):
    """The image tower on the input of the hand-built graph: (n, size, size, 3) uint8."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixels: Tensor) -> Tensor:
        """Return unit vectors, one row per image."""
        return functional.normalize(self.tower(to_input(pixels)))


def measure_texts(weights: Weights) -> dict[str, dict[str, float]]:
    """Time a single text and a batch in each precision, and compare the ranks with fp32's."""
    figures: dict[str, dict[str, float]] = {}
    encoders = {name: _text_encoders(weights, name) for name in _PRECISIONS}
    for precision, pair in encoders.items():
        for batch in _BATCHES:
            tokens = pair["hand-built"].prepare(queries(batch))
            works = {name: partial(encoder.encode, tokens) for name, encoder in pair.items()}
            figures[f"{batch} texts, {precision}, ms"] = _times(works)
    tokens = encoders["fp32"]["hand-built"].prepare(queries(_TEXTS))
    exact = encoders["fp32"]["hand-built"].encode(tokens)
    pool = structured(_ITEMS, exact.shape[1], seed=1)
    for precision, pair in encoders.items():
        figures[f"top-10 overlap of texts with fp32, {precision}"] = {
            name: compare_ranks(exact, encoder.encode(tokens), pool)["top-10 overlap"]
            for name, encoder in pair.items()
        }
    return figures


def measure_images(weights: Weights) -> dict[str, dict[str, float]]:
    """Time images in each precision, and compare the vectors with fp32's."""
    figures: dict[str, dict[str, float]] = {}
    pixels = np.random.default_rng(0).integers(0, 256, (_IMAGES, 224, 224, 3), np.uint8)
    exact = load_image_encoder(weights, "cpu", "fp32", "openvino").encode(pixels)
    for precision in _PRECISIONS:
        pair = _image_encoders(weights, precision)
        for count in (1, _IMAGES):
            works = {name: partial(e.encode, pixels[:count]) for name, e in pair.items()}
            figures[f"{count} images, {precision}, ms"] = _times(works)
        figures[f"lowest cosine of images to fp32, {precision}"] = {
            name: round(float((encoder.encode(pixels) * exact).sum(1).min()), 6)
            for name, encoder in pair.items()
        }
    return figures


def _text_encoders(weights: Weights, precision: str) -> Encoders:
    hand, converted = (
        load_text_encoder(weights, "cpu", None, precision, "openvino") for _ in range(2)
    )
    traced, dtype = _traced_precision(precision)
    with patch.object(layers, "_can_pack", return_value=False):
        tower: Any = load_text_encoder(weights, "cpu", None, traced, "torch")
    arrays = hand._arrays(hand.prepare(queries(12)).ids)  # type: ignore[attr-defined]
    example = tuple(torch.from_numpy(array) for array in arrays)
    model = openvino.convert_model(MaskedTexts(tower._tower, dtype).eval(), example_input=example)
    converted._model = CompiledModel(_quantised(model, precision))  # type: ignore[attr-defined]
    return {"hand-built": hand, "converted": converted}


def _image_encoders(weights: Weights, precision: str) -> Encoders:
    hand, converted = (load_image_encoder(weights, "cpu", precision, "openvino") for _ in range(2))
    traced, _ = _traced_precision(precision)
    with patch.object(layers, "_can_pack", return_value=False):
        tower: Any = load_image_encoder(weights, "cpu", traced, "torch")
    example = torch.zeros((3, 224, 224, 3), dtype=torch.uint8)
    to_input(example)  # caches the mean and the deviation, which a trace would not find again
    module = PixelsToVectors(tower._tower).eval()
    model = openvino.convert_model(module, example_input=(example,))
    converted._model = CompiledModel(_quantised(model, precision))  # type: ignore[attr-defined]
    return {"hand-built": hand, "converted": converted}


def _traced_precision(precision: str) -> tuple[str, torch.dtype]:
    return ("bf16", torch.bfloat16) if precision == "bf16" else ("fp32", torch.float32)


def _quantised(model: Any, precision: str) -> Any:
    """Store the weights of linear layers as bytes with a scale per output, like the hand-built."""
    if precision != "int8":
        return model
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        constant = node.input_value(1).get_node()
        if constant.get_type_name() != "Constant" or len(constant.shape) != 2:
            continue
        weight, axis = constant.data, int(node.get_attributes()["transpose_b"])
        scale = np.maximum(np.abs(weight).max(axis, keepdims=True) / 127, np.float32(1e-12))
        whole = ops.convert(ops.constant(np.round(weight / scale).astype(np.int8)), "f32")
        node.input(1).replace_source_output(ops.multiply(whole, ops.constant(scale)).output(0))
    return model


def _times(works: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    seconds = fastest_in_turn(works, _ROUNDS)
    figures = {name: round(1000 * fastest, 2) for name, fastest in seconds.items()}
    return figures | {"ratio": round(seconds["converted"] / seconds["hand-built"], 3)}


if __name__ == "__main__":
    main()
