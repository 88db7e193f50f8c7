"""Top-10 overlap of lower precisions with fp32.

python -m benchmarks.fidelity

2,000 texts are searched in 30,000 vectors by brute force: texts of random ViT-B/16 models in
structured vectors, and texts of the trained demo model in the vectors of toy images. The reference
is our fp32, whose cosine to stock cn_clip is measured, too.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tusou_lab.toy.dataset import SplitSize, ToySplitFiles, write_toy

from benchmarks.demo_model import encode_pool
from benchmarks.record import record
from benchmarks.stock import load_stock, queries, save_random_model, stock_texts, structured
from benchmarks.text_projection import fit_text_projection
from tusou.core.arrays import Vectors
from tusou.data.formats.muge import read_queries
from tusou.encoders import find_weights, load_text_encoder

_TEXTS, _ITEMS, _K = 2_000, 30_000, 10
_COMPARED = 100  # texts that stock cn_clip encodes, too, in fifty times the time
# Two switches: spread the texts, and move them among the vectors.
_MODELS: dict[str, tuple[bool, bool]] = {
    "random ViT-B/16": (False, False),
    "random ViT-B/16, scaled so that texts spread": (True, False),
    "the same, its texts landed among the vectors": (True, True),
}
_MATRICES = ("query", "key", "value", "dense")


def main() -> None:
    """Run and record."""
    figures: dict[str, object] = {"texts": _TEXTS, "vectors": _ITEMS}
    figures["the demo model, trained"] = measure_trained()
    record("fidelity", figures | measure_random())


def measure_trained() -> dict[str, object]:
    """Compare precisions of the demo model over images and queries that it was not trained on."""
    weights = find_weights("demo")
    with tempfile.TemporaryDirectory() as name:
        folder, split = Path(name), "test"
        write_toy(folder, [SplitSize(split, _ITEMS, _TEXTS)], seed=5, workers=os.cpu_count() or 1)
        files = ToySplitFiles.of(folder, split)
        texts = [query.text for query in read_queries(files.queries)]
        _, pool = encode_pool(weights, files.images)
    encodings = {name: _encode(weights.path, texts, name) for name in ("fp32", "bf16", "int8")}
    exact = encodings.pop("fp32")
    return {name: compare_ranks(exact, vectors, pool) for name, vectors in encodings.items()}


def measure_random() -> dict[str, object]:
    """Compare every precision with fp32, and with fp32 on weights rounded to bf16."""
    texts, pool = queries(_TEXTS), structured(_ITEMS, 512, seed=1)
    figures: dict[str, object] = {}
    for name, (spread, fitted) in _MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "vit-b-16.pt")
            save_random_model(path, spread=spread)
            if fitted:
                fit_text_projection(path)
            default = load_text_encoder(find_weights(str(path)), "cpu").precision
            exact = _encode(path, texts, "fp32")
            stock = stock_texts(load_stock(path), texts[:_COMPARED])
            encodings = {p: _encode(path, texts, p) for p in ("bf16", "int8")}
            _round_weights(path)
            encodings["weights rounded to bf16, nothing else"] = _encode(path, texts, "fp32")
        figures[name] = {
            "default precision": default,
            "fp32 to stock, lowest cosine": round(
                float((exact[:_COMPARED] * stock).sum(1).min()), 7
            ),
            **{p: compare_ranks(exact, vectors, pool) for p, vectors in encodings.items()},
        }
    return figures


def compare_ranks(exact: Vectors, other: Vectors, pool: Vectors) -> dict[str, float]:
    """Return the top-10 overlap of two encodings of the same texts, and their cosines."""
    pairs = zip(_top(exact, pool), _top(other, pool), strict=True)
    cosines = (exact * other).sum(axis=1)
    return {
        "top-10 overlap": round(float(np.mean([np.isin(a, b).mean() for a, b in pairs])), 4),
        "cosine, mean": round(float(cosines.mean()), 6),
        "cosine, lowest": round(float(cosines.min()), 6),
    }


def _top(texts: Vectors, pool: Vectors) -> npt.NDArray[np.int64]:
    return np.argpartition(texts @ -pool.T, _K, axis=1)[:, :_K]


def _encode(path: Path, texts: list[str], precision: str) -> Vectors:
    encoder = load_text_encoder(find_weights(str(path)), "cpu", precision=precision)
    return encoder.encode(encoder.prepare(texts))


def _round_weights(path: Path) -> None:
    """Round the weights to bf16 in the file, as any computation in bf16 does."""
    saved = torch.load(path, weights_only=True)
    for name, weights in saved["state_dict"].items():
        if weights.ndim == 2 and any(f".{part}.weight" in name for part in _MATRICES):
            saved["state_dict"][name] = weights.bfloat16().float()
    torch.save(saved, path)


if __name__ == "__main__":
    main()
