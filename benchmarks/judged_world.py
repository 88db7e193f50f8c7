"""A pool of toy products with its whole truth: queries, correct items, and five systems."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tusou_indexer.build import BuildSpec, build
from tusou_lab.evalset.domain import Domain
from tusou_lab.evalset.plan import plan_queries
from tusou_lab.toy.dataset import SplitSize, ToySplitFiles, write_toy

from tusou.attributes.filters import parse_filter
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.arrays import Ids, Vectors
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.images.preprocess import open_image, to_pixels

DEPTH = 100
_SEED = 5
_PROMPT = "这是一张关于{query}的照片，背景干净"
_COARSE, _NOISE = 10, 90.0  # pixels of a side, standard deviation of a pixel of 0 to 255

ImageChange = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True, slots=True, eq=False)
class ToyWorld:
    """Queries with all of their correct items, and what five systems return for them."""

    texts: list[str]
    item_ids: list[str]
    correct: npt.NDArray[np.bool_]  # (queries, items)
    rankings: dict[str, Ids]  # system -> row keys, (queries, DEPTH), best first

    def found(self, system: str, k: int) -> npt.NDArray[np.float64]:
        """Return the number of correct items among the first k of each query."""
        top = self.rankings[system][:, :k]
        counts = np.take_along_axis(self.correct, top, axis=1).sum(axis=1)
        return np.asarray(counts, np.float64)

    def truth(self, system: str, rows: Ids) -> dict[str, float]:
        """Return precision@10 and recall@100 over some of the queries, of all items judged."""
        return {
            "precision@10": float(self.found(system, 10)[rows].mean()) / 10,
            "recall@100": float(self.found(system, DEPTH)[rows].sum() / self.correct[rows].sum()),
        }


def make_world(folder: Path, items: int, queries: int) -> ToyWorld:
    """Draw products, plan queries whose correct items their attributes decide, and search.

    The systems are the demo model, the model with a prompt that it was not trained with, with a
    quarter and a sixteenth of its dimensions, and on coarse, noisy images.
    """
    write_toy(folder, [SplitSize("test", items, 10)], _SEED, workers=os.cpu_count() or 1)
    files = ToySplitFiles.of(folder, "test")
    spec = BuildSpec(str(files.images), "demo", attributes=files.attributes, workers=1)
    build(spec, folder / "bundle", NoProgress())
    bundle = Bundle.open(folder / "bundle")
    assert bundle.attributes is not None
    source = {"concepts": "category", "attributes": ["tags"], "least_items": 5}
    domain = Domain.model_validate({"name": "商品", "from_pool": source, "budget": queries})
    planned = plan_queries(domain, bundle.attributes, _SEED).queries
    wanted = [parse_filter(query.wanted or {}) for query in planned]
    texts = [query.text for query in planned]
    return ToyWorld(
        texts,
        [str(bundle.ids.at(key)) for key in range(items)],
        np.stack([bundle.attributes.mask(each) for each in wanted]),
        {name: _rank(*vectors) for name, vectors in _encode(bundle, texts).items()},
    )


def _encode(bundle: Bundle, texts: list[str]) -> Mapping[str, tuple[Vectors, Vectors]]:
    """Return the vectors of the queries and of the items, by system."""
    encoder = load_text_encoder(find_weights("demo"))
    plain = encoder.encode(encoder.prepare(texts))
    prompted = encoder.encode(encoder.prepare([_PROMPT.format(query=text) for text in texts]))
    pool = _encode_pool(bundle, lambda image: image)
    rng = np.random.default_rng(_SEED)
    return {
        "demo": (plain, pool),
        "32 dimensions": (_shorten(plain, 32), _shorten(pool, 32)),
        "prompt": (prompted, pool),
        "noise": (plain, _encode_pool(bundle, lambda image: _blur(image, rng))),
        "8 dimensions": (_shorten(plain, 8), _shorten(pool, 8)),
    }


def _encode_pool(bundle: Bundle, change: ImageChange) -> Vectors:
    """Return the vectors of all images after a change, encoded singly."""
    encoder = load_image_encoder(find_weights("demo"))
    images = (
        open_image(bundle.image(str(bundle.ids.at(key)))[0]) for key in range(len(bundle.ids))
    )
    pixels = (to_pixels(change(image), encoder.transform) for image in images)
    return np.concatenate([encoder.encode(each[None]) for each in pixels])


def _blur(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    coarse = image.convert("RGB").resize((_COARSE, _COARSE)).resize((224, 224))
    noisy = np.asarray(coarse, np.float32) + rng.normal(0, _NOISE, (224, 224, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _shorten(vectors: Vectors, dim: int) -> Vectors:
    shortened = vectors[:, :dim]
    return np.asarray(shortened / np.linalg.norm(shortened, axis=1, keepdims=True), np.float32)


def _rank(queries: Vectors, pool: Vectors) -> Ids:
    return np.argsort(-(queries @ pool.T), axis=1, kind="stable")[:, :DEPTH].astype(np.int64)
