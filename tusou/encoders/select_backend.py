"""Which backend computes a tower, where and in which precision: told without loading it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import cast

from tusou.core.errors import InvalidRequest, MissingDependency
from tusou.core.hardware import is_x86
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import Shaped, Tower, TowerShape, read_image_shape, read_text_shape
from tusou.encoders.base import Weights
from tusou.encoders.checkpoint_shapes import read_outline
from tusou.encoders.devices import pick_device, pick_precision

BACKENDS = ("auto", "torch", "openvino")

_OPENVINO_PRECISIONS = ("fp32", "bf16", "int8")
_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}  # of a weight
_PREFIXES = {"text": ("bert.", "text_projection"), "image": ("visual.",)}

_READ_TENSORS = LazyImport("tusou.encoders.checkpoint:read_tensors")  # imports torch


@dataclass(frozen=True, slots=True)
class ResolvedEncoder:
    """How a tower is computed, with nothing left open."""

    backend: str  # torch or openvino
    device: str  # cpu, cuda or cuda:N
    precision: str  # fp32, bf16, fp16 or int8


def resolve_encoder(
    weights: Weights, tower: Tower, device: str, precision: str, backend: str
) -> ResolvedEncoder:
    """Resolve what `auto` stands for.

    Raises BadModel for a file that is no cn_clip checkpoint, InvalidRequest for what cannot be, and
    MissingDependency when OpenVINO is asked for and not installed.
    """
    place, shape = pick_device(device), shape_of(weights, tower)
    gains = shape.is_transformer and shape.heavy  # a ResNet's convolutions have no bf16 path
    resolved = pick_precision(precision, place, gains_from_bf16=gains)
    if backend == "openvino":
        _demand_openvino(place, resolved)
        with_openvino = shape.is_transformer
    elif backend in BACKENDS:
        with_openvino = backend == "auto" and _gains(shape, place, resolved)
    else:
        raise InvalidRequest(f"No backend {backend!r}: use {', '.join(BACKENDS)}.")
    return ResolvedEncoder("openvino" if with_openvino else "torch", place, resolved)


def shape_of(weights: Weights, tower: Tower) -> TowerShape:
    """Tell a tower's shape; BadModel for a file that is no cn_clip checkpoint."""
    read = read_text_shape if tower == "text" else read_image_shape
    return read(_tensors(weights))


def least_memory(weights: Weights, tower: Tower, choice: ResolvedEncoder) -> int:
    """Return the bytes of a tower's weights as they are computed with; 0 where a GPU holds them."""
    if choice.device != "cpu":
        return 0
    numbers = (
        prod(one.shape)
        for name, one in _tensors(weights).items()
        if name.startswith(_PREFIXES[tower])
    )
    return sum(numbers) * _BYTES[choice.precision]


def _gains(shape: TowerShape, device: str, precision: str) -> bool:
    """Tell where OpenVINO is the faster of the two; see docs/performance.md."""
    return (
        device == "cpu"
        and is_x86()
        and shape.is_transformer
        and shape.heavy
        and precision in _OPENVINO_PRECISIONS
        and find_spec("openvino") is not None
    )


def _demand_openvino(device: str, precision: str) -> None:
    if device != "cpu":
        raise InvalidRequest("OpenVINO computes on processors: ask for the device cpu, or torch.")
    if precision not in _OPENVINO_PRECISIONS:
        allowed = ", ".join(_OPENVINO_PRECISIONS)
        raise InvalidRequest(f"OpenVINO computes in {allowed}, not {precision}: ask for one.")
    if find_spec("openvino") is None:
        raise MissingDependency("the backend openvino is not installed: pip install openvino")


def _tensors(weights: Weights) -> Mapping[str, Shaped]:
    outline = read_outline(weights.path)
    if outline is not None:
        return outline
    read = cast("Callable[[Path], Mapping[str, Shaped]]", _READ_TENSORS.load())
    return read(weights.path)
