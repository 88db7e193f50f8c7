"""Calibrates the int8 graph of an image tower with images, by nncf.

`python -m tusou.encoders.openvino.calibrate GRAPH PIXELS OUT` reads the graph in fp32 and the
images, a .npy of (n, side, side, 3) uint8, and writes OUT/graph.xml and OUT/graph.bin. It is a
process of its own because nncf imports torch, and so that equal inputs give equal bytes: the names
of new nodes count the operations of the process.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import openvino

from tusou.bundle.array_file import save_array
from tusou.core.arrays import Pixels
from tusou.core.errors import BadModel, MissingDependency
from tusou.encoders.calibrated_precision import calibrated_precision
from tusou.encoders.openvino.cache import GRAPH, can_store, discard, find_cached
from tusou.encoders.openvino.calibrated_graph import (
    GraphCalibration,
    cannot_keep,
    find_same,
    store_calibrated,
)
from tusou.encoders.openvino.encoders import convert_to_cache
from tusou.encoders.select_backend import ResolvedEncoder

_MODULE = "tusou.encoders.openvino.calibrate"
_QUIET = {"NNCF_CI": "1"}  # its telemetry sends nothing then


def require_nncf() -> None:
    """Raise MissingDependency where nncf is not installed."""
    if find_spec("nncf") is None:
        raise MissingDependency(
            "precision int8-calibrated is calibrated by nncf, which is not installed: install "
            "tusou[nncf]"
        )


def calibrate(resolved: ResolvedEncoder, pixels: Pixels) -> str:
    """Calibrate an image tower with images, (n, side, side, 3) uint8; return its precision.

    The graph is kept beside the weights; if it is there already, it is not made again. The first
    layer and the projection stay in float32, the other products are of bytes. Raises
    MissingDependency without nncf, InvalidRequest where nothing can be written beside the weights,
    and BadModel when the conversion or the calibration fails.
    """
    require_nncf()
    digest = sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    record = GraphCalibration(len(pixels), digest, version("nncf"), version("openvino"))
    weights, variant = resolved.weights, resolved.variant
    graph = find_same(weights, record, variant)
    if graph is None:
        if not can_store(weights):
            raise cannot_keep(weights)
        before = find_cached(weights, "image", "fp32", variant)
        fp32 = convert_to_cache(replace(resolved, precision="fp32"))
        if fp32 is None:
            raise cannot_keep(weights)
        with tempfile.TemporaryDirectory(prefix="tusou-") as name:
            _run(fp32 / GRAPH, pixels, Path(name))
            graph = store_calibrated(weights, Path(name), record, variant)
        if before is None:
            discard(weights, "image", "fp32", variant)
    return calibrated_precision(graph)


def _run(graph: Path, pixels: Pixels, out: Path) -> None:
    """Calibrate in another process; BadModel if it fails."""
    save_array(out / "pixels.npy", pixels)
    command = [sys.executable, "-Pm", _MODULE, str(graph), str(out / "pixels.npy"), str(out)]
    environment = {**os.environ, **_QUIET}
    ended = subprocess.run(  # noqa: S603
        command, check=False, env=environment, capture_output=True, text=True
    )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
        raise BadModel(f"nncf could not calibrate the image tower ({last[:200]})")


def quantize(graph: Path, pixels: Pixels) -> openvino.Model:
    """Return the graph with products of bytes, whose scales are computed from the images."""
    import nncf  # noqa: PLC0415 - slow, and only in the process that calibrates

    model, products = openvino.Core().read_model(graph), []
    for number, node in enumerate(model.get_ordered_ops()):
        # The names so far count the operations of the process that converted the tower.
        node.set_friendly_name(f"{node.get_type_name()}_{number}")
        if node.get_type_name() == "MatMul":
            products.append(node.get_friendly_name())
    model.output(0).get_tensor().set_names({"vectors"})
    # Little work, and their errors would not average out.
    outer = nncf.IgnoredScope(names=[products[0], products[-1]])
    images = nncf.Dataset([pixels[row : row + 1] for row in range(len(pixels))])
    return nncf.quantize(
        model,
        images,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(pixels),
        ignored_scope=outer,
    )


def main() -> None:
    """Calibrate the graph that the command line names."""
    graph, pixels, out = map(Path, sys.argv[1:])
    model = quantize(graph, np.load(pixels))
    openvino.save_model(model, out / GRAPH, compress_to_fp16=False)


if __name__ == "__main__":
    main()
