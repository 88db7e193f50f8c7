"""Export of both towers to ONNX, with what a program without Tusou needs to run them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
import torch

from tusou.core.errors import BadModel
from tusou.encoders import Weights, find_license, find_weights, image_transform
from tusou.encoders.architecture import LibraryShape, TextShape, Tower
from tusou.encoders.checkpoint import TensorReader, read_weights
from tusou.encoders.families import find_family
from tusou.encoders.onnx.graph_builder import OPSET
from tusou.encoders.onnx.image_graph import image_graph
from tusou.encoders.onnx.resnet_graph import resnet_graph
from tusou.encoders.onnx.text_graph import text_graph
from tusou.images.preprocess import MEAN, STD
from tusou_lab.convert.output_folder import output_folder
from tusou_lab.convert_model.vocabulary import write_vocabulary
from tusou_lab.license_files import write_licenses

RECORD = "model.json"  # written last

# protobuf, and so an ONNX file, ends at 2 GiB; constants can lie in a file beside it.
MAX_FILE_BYTES = 2**31 - 2**24
_FILES: dict[Tower, str] = {"text": "text.onnx", "image": "image.onnx"}


@dataclass(frozen=True, slots=True)
class OnnxReport:
    """The files of an exported model."""

    folder: Path
    opset: int
    dim: int
    files: dict[str, int]  # bytes of each


def export_onnx(
    model: str, out: Path, *, force: bool = False, max_file_bytes: int = MAX_FILE_BYTES
) -> OnnxReport:
    """Write `text.onnx`, `image.onnx`, the vocabulary and `model.json` into the new folder `out`.

    A graph of more than `max_file_bytes` gets a file of constants beside it. Raises BadModel for a
    model that is not computed by Tusou's own towers, and OutputExists if `out` exists, unless this
    made it and `force` is set.
    """
    weights = find_weights(model)
    with output_folder(out, RECORD, "convert-model", force=force) as folder:
        dims = [_write_tower(weights, tower, folder, max_file_bytes) for tower in _FILES]
        record = _describe(weights, dims[0], write_vocabulary(weights, folder))
        write_licenses(weights, folder)
        text = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
        (folder / RECORD).write_text(text, encoding="utf-8")
    sizes = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
    return OnnxReport(out, OPSET, dims[0], sizes)


def _write_tower(weights: Weights, tower: Tower, folder: Path, max_file_bytes: int) -> int:
    """Write one tower; return the length of its vectors."""
    shape = find_family(weights).read_shape(weights, tower)
    if isinstance(shape, LibraryShape):
        raise BadModel(
            f"the {tower} tower of {weights.name} is computed by {shape.library}, and not by "
            "Tusou's own towers, which are what is exported: export it with that library"
        )
    reader = TensorReader(read_weights(weights), tower, torch.device("cpu"))
    if isinstance(shape, TextShape):
        model = text_graph(reader, shape)
    else:
        build = image_graph if shape.is_transformer else resnet_graph
        model = build(reader, shape, *_channels(weights))
    path = folder / _FILES[tower]
    size = sum(len(constant.raw_data) for constant in model.graph.initializer)
    onnx.save_model(
        model, path, save_as_external_data=size > max_file_bytes, location=f"{path.name}.data"
    )
    return shape.embed_dim


def _channels(weights: Weights) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the deviation of each channel, on the scale from 0 to 1."""
    record = find_family(weights).describe(weights)
    return (MEAN, STD) if record is None else (record.mean, record.std)


def _describe(weights: Weights, dim: int, tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Return what a program needs to know to prepare texts and images, and to use the vectors."""
    transform = image_transform(weights)
    side, batch = transform.side, "batch"
    mean, std = _channels(weights)
    described = find_family(weights).describe(weights)
    return {
        "model": weights.name,
        "sha256": weights.digest,
        "license": described.license if described else find_license(weights),
        "opset": OPSET,
        "dim": dim,
        "vectors": {"normalized": True, "score": "inner product"},
        "text": {
            "file": _FILES["text"],
            "input": {"name": "ids", "type": "int64", "shape": [batch, "length"]},
            "output": {"name": "vectors", "type": "float32", "shape": [batch, dim]},
            "tokenizer": tokenizer,
        },
        "image": {
            "file": _FILES["image"],
            "input": {"name": "images", "type": "uint8", "shape": [batch, side, side, 3]},
            "output": {"name": "vectors", "type": "float32", "shape": [batch, dim]},
            "channels": "RGB",
            "transform": asdict(transform),
            "mean": mean,
            "std": std,
            "normalization": "inside the graph",
        },
    }
