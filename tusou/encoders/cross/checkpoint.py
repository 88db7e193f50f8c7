"""Files of cross-encoders: tensors and shape, and the digest of the towers that they belong to."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from tusou.core.errors import BadModel
from tusou.core.files import write_file
from tusou.encoders.checkpoint import load_checkpoint
from tusou.encoders.cross.network import CrossNetwork
from tusou.encoders.cross.shape import HEAD_WIDTH, MAX_LAYERS, CrossShape

_KIND = "tusou cross-encoder 1"
_LARGEST = 65_536  # of any number of a shape


@dataclass(frozen=True, slots=True)
class CrossCheckpoint:
    """A trained network, and what it was trained over and how."""

    network: CrossNetwork
    towers: str  # SHA-256 of the checkpoint whose towers give the tokens
    training: Mapping[str, str | int | float]  # settings, data and result, to be shown


def save_cross(
    path: Path, network: CrossNetwork, towers: str, training: Mapping[str, str | int | float]
) -> None:
    """Write a file that `read_cross` reads, replacing `path` in one step."""
    content = {
        "kind": _KIND,
        "shape": asdict(network.shape),
        "towers": towers,
        "training": dict(training),
        "state_dict": {
            name: tensor.detach().cpu() for name, tensor in network.state_dict().items()
        },
    }
    data = BytesIO()
    torch.save(content, data)
    write_file(path, data.getvalue())


def read_cross(path: Path, towers: Collection[str] | None = None) -> CrossCheckpoint:
    """Read a cross-encoder in evaluation mode; no code in the file is run.

    `towers` are the digests of which it must have one. Raises BadModel for any other file.
    """
    content = _load(path)
    trained_over = content["towers"]
    if towers is not None and trained_over not in towers:
        given = ", ".join(digest[:12] for digest in towers)
        raise BadModel(
            f"{path.name} was trained over the towers {str(trained_over)[:12]}, not {given}: train "
            "one with `tusou train --task rerank --from BUNDLE`"
        )
    network = CrossNetwork(_read_shape(content["shape"], path)).eval()
    try:
        network.load_state_dict(content["state_dict"])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise BadModel(f"{path.name} does not hold the tensors of its shape") from error
    if not all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values()):
        raise BadModel(f"{path.name} holds numbers that cannot be of a trained cross-encoder")
    network.requires_grad_(requires_grad=False)
    return CrossCheckpoint(network, str(trained_over), content["training"])


def _load(path: Path) -> dict[str, Any]:
    content = load_checkpoint(path, path.name)
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind != _KIND:
        raise BadModel(f"{path.name} is not a cross-encoder of this version of `tusou train`")
    loaded: dict[str, Any] = content
    return loaded


def _read_shape(value: object, path: Path) -> CrossShape:
    names = [field.name for field in fields(CrossShape)]
    numbers = value if isinstance(value, dict) else {}
    fits = sorted(numbers) == sorted(names) and all(
        type(number) is int and 0 < number < _LARGEST for number in numbers.values()
    )
    if fits:
        shape = CrossShape(**numbers)
        if shape.width % HEAD_WIDTH == 0 == shape.grid % shape.pool and shape.layers <= MAX_LAYERS:
            return shape
    raise BadModel(f"{path.name} has an impossible shape")
