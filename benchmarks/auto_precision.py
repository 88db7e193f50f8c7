"""Times of fp32 and bf16 by which `--precision auto` chooses, whatever this processor can do.

python -m benchmarks.auto_precision

A ViT-B/16 with random weights is converted and measured as `auto` would, also on a processor
without instructions for bf16, where `auto` takes fp32 without measuring.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.record import record
from benchmarks.stock import save_random_model
from tusou.encoders import Tower, find_weights, resolve_encoder
from tusou.encoders.openvino.encoders import convert_to_cache
from tusou.encoders.openvino.measure import measure_tower

_REPEATS = 3  # the choice should be the same each time


def main() -> None:
    """Measure and record."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "vit-b-16.pt"
        save_random_model(path)
        record("auto_precision", {"text": measure(path, "text"), "image": measure(path, "image")})


def measure(path: Path, tower: Tower) -> list[dict[str, object]]:
    """Return the repeated measurements of a tower, and what `auto` would choose by each."""
    fp32 = resolve_encoder(find_weights(str(path)), tower, "cpu", "fp32", "openvino")
    for precision in ("fp32", "bf16"):
        convert_to_cache(replace(fp32, precision=precision))
    found = [measure_tower(fp32) for _ in range(_REPEATS)]
    return [{"precision": each.precision, **each.model_dump()} for each in found]


if __name__ == "__main__":
    main()
