"""oneDNN's packed linear layer beside torch's own, in towers of ViT-B/16's size on this processor.

python -m benchmarks.linear

The packed layer calls `torch.ops.mkldnn._linear_pointwise`, which is not public. Both variants of
each tower are loaded into one process and timed in turn; the ratio is that of the fastest rounds.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.record import record
from benchmarks.stock import queries, save_random_model
from benchmarks.timing import fastest_in_turn
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.torch import layers

_ROUNDS = 25
_BATCHES = (1, 32)
_IMAGES = 4

Works = dict[str, Callable[[], object]]


def main() -> None:
    """Measure, print a table and record the figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vit-b-16.pt")
        save_random_model(path)
        figures = {name: _compare(works) for name, works in _cases(path)}
    print("| work | packed, ms | plain, ms | plain / packed |\n|---|---|---|---|")
    for name, row in figures.items():
        print(f"| {name} | {row['packed, ms']} | {row['plain, ms']} | {row['plain / packed']} |")
    record("linear", dict(figures))


def _cases(path: Path) -> Iterator[tuple[str, Works]]:
    weights = find_weights(str(path))
    pixels = np.random.default_rng(0).integers(0, 256, (_IMAGES, 224, 224, 3), np.uint8)
    for precision in ("fp32", "bf16"):
        load_text = partial(load_text_encoder, weights, "cpu", None, precision, "torch")
        load_image = partial(load_image_encoder, weights, "cpu", precision, "torch")
        packed, packed_images = load_text(), load_image()
        with patch.object(layers, "_can_pack", return_value=False):
            plain, plain_images = load_text(), load_image()
        for batch in _BATCHES:
            tokens = packed.prepare(queries(batch))
            name = "a lone text" if batch == 1 else f"{batch} texts"
            yield (
                f"{name}, {precision}",
                {
                    "packed": partial(packed.encode, tokens),
                    "plain": partial(plain.encode, tokens),
                },
            )
        for count, name in ((1, "a lone image"), (_IMAGES, f"{_IMAGES} images")):
            yield (
                f"{name}, {precision}",
                {
                    "packed": partial(packed_images.encode, pixels[:count]),
                    "plain": partial(plain_images.encode, pixels[:count]),
                },
            )


def _compare(works: Works) -> dict[str, float]:
    seconds = fastest_in_turn(works, _ROUNDS)
    return {
        "packed, ms": round(1000 * seconds["packed"], 2),
        "plain, ms": round(1000 * seconds["plain"], 2),
        "plain / packed": round(seconds["plain"] / seconds["packed"], 3),
    }


if __name__ == "__main__":
    main()
