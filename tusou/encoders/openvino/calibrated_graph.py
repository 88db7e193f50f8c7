"""Image towers in calibrated int8, kept beside the weights under the digest of their graph.

    clip_cn_vit-b-16.pt.openvino/image-int8-calibrated-2-<digest of the weights>-<of the graph>/
        graph.xml, graph.bin, digests.json
        calibration.json        the images and the libraries that the scales were computed with

Other than those of the other precisions, they cannot be made again from the weights alone: those
of the same weights are never deleted here. This module imports no OpenVINO.
"""

import json
import logging
import shutil
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from tusou.core.errors import BadModel, InvalidRequest
from tusou.core.files import sha256_of
from tusou.encoders.base import Weights
from tusou.encoders.calibrated_precision import CALIBRATED
from tusou.encoders.openvino.cache import (
    GRAPH,
    cache_folder,
    cache_key,
    find_cached,
    store,
)

CONSTANTS = "graph.bin"
_RECORD = "calibration.json"
_DIGEST_LENGTH = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GraphCalibration:
    """The images and libraries behind the scales of a graph; equal ones give equal graphs."""

    images: int
    pixels_sha256: str  # of the images, decoded
    nncf: str  # its version
    openvino: str


def find_calibrated(weights: Weights, digest: str, variant: str = "") -> Path | None:
    """Return the folder of a graph with this digest; None if it is missing or damaged.

    `variant` is that of a `ResolvedEncoder`.
    """
    return find_cached(weights, "image", CALIBRATED, _join(variant, digest))


def require_calibrated(weights: Weights, digest: str, variant: str = "") -> Path:
    """Return the folder of a graph; BadModel if it is missing or damaged."""
    found = find_calibrated(weights, digest, variant)
    if found is None:
        key = cache_key(weights, "image", CALIBRATED, _join(variant, digest))
        raise BadModel(
            f"the calibrated graph of the image tower is not beside {weights.name}: copy "
            f"{cache_folder(weights) / key} from the machine that indexed, run `tusou index "
            "--precision int8-calibrated` again, or use another precision"
        )
    return found


def find_same(weights: Weights, record: GraphCalibration, variant: str = "") -> str | None:
    """Return the digest of the graph with this record; None if there is none."""
    prefix = cache_key(weights, "image", CALIBRATED, variant)
    for folder in sorted(cache_folder(weights).glob(f"{prefix}-{'[0-9a-f]' * _DIGEST_LENGTH}")):
        digest = folder.name.rpartition("-")[2]
        if _read_record(folder) == asdict(record) and find_calibrated(weights, digest, variant):
            return digest
    return None


def store_calibrated(
    weights: Weights, graph: Path, record: GraphCalibration, variant: str = ""
) -> str:
    """Keep a graph, a folder with its two files; return its digest.

    Raises InvalidRequest if it cannot be written beside the weights.
    """
    digest = graph_digest(graph)

    def write(folder: Path) -> None:
        for name in (GRAPH, CONSTANTS):
            shutil.copyfile(graph / name, folder / name)
        (folder / _RECORD).write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")

    store(weights, "image", CALIBRATED, write, _join(variant, digest))
    if find_calibrated(weights, digest, variant) is None:
        raise cannot_keep(weights)
    return digest


def cannot_keep(weights: Weights) -> InvalidRequest:
    """Return the error for weights beside which nothing can be written."""
    return InvalidRequest(
        f"int8-calibrated keeps its graph in {cache_folder(weights)}, where nothing can be "
        "written: copy the weights to a folder that can be, or use another precision"
    )


def graph_digest(folder: Path) -> str:
    """Return the digest of a graph's two files."""
    lines = "".join(f"{name} {sha256_of(folder / name)}\n" for name in (GRAPH, CONSTANTS))
    return sha256(lines.encode()).hexdigest()[:_DIGEST_LENGTH]


def _read_record(folder: Path) -> object:
    try:
        return json.loads((folder / _RECORD).read_bytes())
    except (OSError, ValueError):
        return None


def _join(variant: str, digest: str) -> str:
    return f"{variant}-{digest}" if variant else digest
