"""Speed of a transformers folder of Chinese-CLIP in Tusou and in transformers, by turns.

python -m benchmarks.any_model

Needs the extra `models`. The weights are random: speed does not depend on them.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cn_clip
import torch
import transformers
from transformers import (
    AutoTokenizer,
    BertTokenizer,
    ChineseCLIPConfig,
    ChineseCLIPModel,
)
from transformers import ChineseCLIPImageProcessorPil as ImageProcessor

from benchmarks.encoders import our_texts
from benchmarks.record import record
from benchmarks.stock import queries
from benchmarks.timing import compare
from tusou.core.arrays import Vectors
from tusou.encoders import find_weights, load_text_encoder
from tusou.encoders.torch.cpu_threads import on_all_cores, on_one_core

_CONTEXT = 52  # tokens that cn_clip pads every text to
_BATCHES = (1, 32)
_GOALS = {1: 5, 32: 15}  # times faster than transformers


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60, help="for each batch size")
    arguments = parser.parse_args()
    record("any_model", measure_texts(arguments.rounds, arguments.seconds))


def measure_texts(rounds: int, seconds: float) -> dict[str, object]:
    """Tokenise and encode texts of 8 tokens on average, in turn, in one process."""
    with tempfile.TemporaryDirectory() as name:
        folder = save_random_folder(Path(name, "chinese-clip-vit-base-patch16"))
        with on_one_core():
            library, tokenizer = _load_library(folder)
            weights = find_weights(str(folder))
        ours = load_text_encoder(weights, "cpu")
        exact = load_text_encoder(weights, "cpu", precision="fp32")
        figures: dict[str, object] = {
            "transformers": transformers.__version__,
            "backend": ours.backend,
            "precision": ours.precision,
        }
        for batch in _BATCHES:
            texts = queries(batch)
            variants: dict[str, Callable[[], Vectors]] = {
                "transformers, padded to 52": partial(
                    on_all_cores, partial(_encode, library, tokenizer, texts, pad_all=True)
                ),
                "transformers, padded to the longest": partial(
                    on_all_cores, partial(_encode, library, tokenizer, texts, pad_all=False)
                ),
                "tusou": partial(our_texts, ours, texts),
                "tusou, fp32": partial(our_texts, exact, texts),
            }
            figures[f"batch {batch}"] = _compare(variants, batch, rounds, seconds)
    return figures


def _compare(
    variants: dict[str, Callable[[], Vectors]], batch: int, rounds: int, seconds: float
) -> dict[str, object]:
    """Return the times of each variant, ratios of its fastest rounds, and the lowest cosine."""
    baseline, padded_less, *_ = variants
    results = {name: work() for name, work in variants.items()}
    cosines = {
        name: round(float((vectors * results[baseline]).sum(axis=1).min()), 6)
        for name, vectors in results.items()
    }
    times: dict[str, Any] = compare(variants, baseline, rounds, batch, seconds=seconds)
    fastest = {name: each["ms_each_fastest"] for name, each in times.items()}
    ratios = {
        f"{name}: times faster than {other}": round(fastest[other] / fastest[name], 2)
        for name in ("tusou", "tusou, fp32")
        for other in (baseline, padded_less)
    }
    return {**times, "fastest rounds": ratios, "goal": _GOALS[batch], "lowest cosine": cosines}


def save_random_folder(folder: Path) -> Path:
    """Save a random ViT-B/16 of Chinese-CLIP as transformers does, with its tokenizer."""
    torch.manual_seed(0)
    config = ChineseCLIPConfig(
        text_config={"vocab_size": 21128},
        vision_config={"patch_size": 16, "image_size": 224},
        projection_dim=512,
    )
    ChineseCLIPModel(config).save_pretrained(folder)
    vocabulary = Path(cn_clip.__path__[0], "clip", "vocab.txt")
    BertTokenizer(str(vocabulary), do_lower_case=True).save_pretrained(folder)
    ImageProcessor(
        size={"height": 224, "width": 224}, do_center_crop=False, resample=3
    ).save_pretrained(folder)
    return folder


def _load_library(folder: Path) -> tuple[Any, Any]:
    model = ChineseCLIPModel.from_pretrained(folder)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def _encode(model: Any, tokenizer: Any, texts: Sequence[str], *, pad_all: bool) -> Vectors:
    """Encode as transformers' examples do, padding to cn_clip's context or to the longest text."""
    padding = {"padding": "max_length", "max_length": _CONTEXT} if pad_all else {"padding": True}
    with torch.inference_mode():
        tokens = tokenizer(list(texts), return_tensors="pt", truncation=True, **padding)
        output = model.get_text_features(**tokens)
        features = getattr(output, "pooler_output", output)
        vectors: Vectors = torch.nn.functional.normalize(features).numpy()
        return vectors


if __name__ == "__main__":
    main()
