"""An exported ViT-B/16 in ONNX Runtime beside the same towers in OpenVINO and torch.

python -m benchmarks.onnx_runtime     (in an environment with the extra `models`)

Texts are tokenised and images are decoded beforehand; all take turns in one process and may use all
cores. ONNX Runtime pads a batch to its longest text, as a user of the exported model would.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tusou_lab.convert_model.onnx_export import export_onnx

from benchmarks.record import record
from benchmarks.stock import queries, save_random_model
from benchmarks.timing import fastest_in_turn
from tusou.core.arrays import Vectors
from tusou.core.hardware import cpu_count
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder

_OURS = [("openvino", "fp32"), ("openvino", "bf16"), ("torch", "fp32")]
_OTHER = "ONNX Runtime, fp32"
_ROUNDS = 25
_BATCHES = (1, 32)
_IMAGES = (1, 4)

Work = Callable[[], Vectors]


def main() -> None:
    """Measure and record."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_random_model(folder / "vit-b-16.pt", spread=True)
        export_onnx(str(folder / "vit-b-16.pt"), folder / "onnx")
        figures: dict[str, object] = {
            "versions": {name: version(name) for name in ("onnxruntime", "openvino", "torch")}
        }
        figures |= measure_texts(folder) | measure_images(folder)
    record("onnx_runtime", figures)


def measure_texts(folder: Path) -> dict[str, object]:
    """Encode texts of 8 tokens on average, alone and in a batch."""
    weights = find_weights(str(folder / "vit-b-16.pt"))
    ours = {
        f"{backend}, {precision}": load_text_encoder(weights, "cpu", None, precision, backend)
        for backend, precision in _OURS
    }
    other = _open(folder / "onnx/text.onnx")
    figures: dict[str, object] = {}
    for batch in _BATCHES:
        tokens = ours["torch, fp32"].prepare(queries(batch))
        works: dict[str, Work] = {name: partial(e.encode, tokens) for name, e in ours.items()}
        works[_OTHER] = partial(other, tokens.ids)
        figures[f"{batch} texts"] = _measure(works)
    return figures


def measure_images(folder: Path) -> dict[str, object]:
    """Encode images of 224 pixels."""
    weights = find_weights(str(folder / "vit-b-16.pt"))
    ours = {
        f"{backend}, {precision}": load_image_encoder(weights, "cpu", precision, backend)
        for backend, precision in _OURS
    }
    other = _open(folder / "onnx/image.onnx")
    figures: dict[str, object] = {}
    for batch in _IMAGES:
        pixels = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), np.uint8)
        works: dict[str, Work] = {name: partial(e.encode, pixels) for name, e in ours.items()}
        works[_OTHER] = partial(other, pixels)
        figures[f"{batch} images"] = _measure(works)
    return figures


def _open(path: Path) -> Callable[[Any], Vectors]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu_count()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def _measure(works: dict[str, Work]) -> dict[str, object]:
    """Return the fastest round of each, and how many times as long ONNX Runtime takes."""
    exact = works["torch, fp32"]()
    seconds = fastest_in_turn(works, _ROUNDS)
    return {
        name: {
            "ms, fastest": round(1000 * seconds[name], 2),
            "times faster than ONNX Runtime": round(seconds[_OTHER] / seconds[name], 2),
            "largest difference to torch, fp32": float(f"{np.abs(work() - exact).max():.1e}"),
        }
        for name, work in works.items()
    }


if __name__ == "__main__":
    main()
