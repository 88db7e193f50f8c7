"""Costs of running a model through its library, in place of Tusou's own towers.

python -m benchmarks.library_models [--rounds N]

A random CLIP of ViT-B/16's geometry is encoded by Tusou's own towers and through transformers, and
a random SigLIP of the same widths, which only the library can run, beside them: in turn in one
process, the fastest of the rounds. Needs the extra `models`.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

from benchmarks.clip_vocabulary import clip_vocabulary
from benchmarks.record import record
from benchmarks.stock import jpegs
from benchmarks.timing import Work, fastest_in_turn
from tusou.core.arrays import Pixels, Vectors
from tusou.encoders import (
    ImageEncoder,
    TextEncoder,
    find_weights,
    open_image_encoder,
    open_text_encoder,
    resolve_encoder,
)
from tusou.encoders.architecture import LibraryShape, Tower
from tusou.encoders.select_backend import ResolvedEncoder
from tusou.images.preprocess import open_image, to_pixels

_VOCABULARY = 49408
_TOWER = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
_CLIP_TEXT = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8}
_QUERY = "red dress dog running dress {}"  # 9 or 10 tokens, start and end included
_IMAGES = 4


def main() -> None:
    """Measure and record the milliseconds of the fastest rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    rounds = parser.parse_args().rounds
    figures: dict[str, object] = {"transformers": transformers.__version__}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_clip(folder / "clip")
        save_siglip(folder / "siglip")
        for title, works in tasks(folder):
            seconds = fastest_in_turn(works, rounds)
            figures[title] = {key: round(1000 * value, 2) for key, value in seconds.items()}
            print(title, figures[title], flush=True)
    record("library_models", figures)


def tasks(folder: Path) -> Iterator[tuple[str, dict[str, Work]]]:
    """Yield the tasks, texts before images; the models of a task are freed before the next."""
    texts = dict(_each(folder, "text", open_text_encoder))
    for count in (1, 32):
        queries = [_QUERY.format(number) for number in range(count)]
        yield (
            f"texts, batch {count}",
            {name: partial(_encode_texts, encoder, queries) for name, encoder in texts.items()},
        )
    del texts
    images: dict[str, Any] = dict(_each(folder, "image", open_image_encoder))
    files = jpegs(_IMAGES, 224)
    yield (
        "images, 224 px",
        {
            name: partial(encoder.encode, _pixels(encoder, files))
            for name, encoder in images.items()
        },
    )


def _each(folder: Path, tower: Tower, load: Any) -> Iterator[tuple[str, Any]]:
    """Yield the encoders: both ways of CLIP, and SigLIP."""
    clip = resolve_encoder(find_weights(str(folder / "clip")), tower, "cpu")
    yield "own", load(clip)
    yield "transformers", load(_by_library(clip))
    yield "siglip", load(resolve_encoder(find_weights(str(folder / "siglip")), tower, "cpu"))


def _by_library(resolved: ResolvedEncoder) -> ResolvedEncoder:
    shape = LibraryShape(resolved.shape.embed_dim, resolved.tower, "transformers")
    return replace(resolved, shape=shape, backend="transformers")


def _encode_texts(encoder: TextEncoder, texts: list[str]) -> Vectors:
    return encoder.encode(encoder.prepare(texts))


def _pixels(encoder: ImageEncoder, files: list[bytes]) -> Pixels:
    return np.stack([to_pixels(open_image(data), encoder.transform) for data in files])


def save_clip(folder: Path) -> None:
    """Save a CLIP of ViT-B/16's geometry, with few merges in its tokenizer."""
    vocabulary, _ = clip_vocabulary()
    text = _CLIP_TEXT | {"vocab_size": _VOCABULARY, "eos_token_id": len(vocabulary) - 1}
    config = CLIPConfig(
        text_config=text,
        vision_config=_TOWER | {"patch_size": 16},
        projection_dim=512,
    )
    CLIPModel(config).save_pretrained(folder)
    _save_tokenizer(folder)
    CLIPImageProcessorPil().save_pretrained(folder)


def save_siglip(folder: Path) -> None:
    """Save a SigLIP of B/16's geometry, whose texts are padded to 64 tokens."""
    text = _TOWER | {"vocab_size": _VOCABULARY, "max_position_embeddings": 64}
    SiglipModel(SiglipConfig(text_config=text, vision_config=_TOWER)).save_pretrained(folder)
    _save_tokenizer(folder)
    SiglipImageProcessorPil().save_pretrained(folder)


def _save_tokenizer(folder: Path) -> None:
    vocabulary, merges = clip_vocabulary()
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=64)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
