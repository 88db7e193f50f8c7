"""Gives a bundle a cross-encoder, and stores the tokens of its images."""

from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from tusou.bundle.bundle import Bundle
from tusou.bundle.stages import CROSS_ENCODER, IMAGE_TOKENS, RERANK_FILES, RerankRecord
from tusou.cli.progress import Progress
from tusou.core.arrays import Pixels
from tusou.core.errors import BadDataset, InvalidRequest, UnknownItem
from tusou.core.files import sha256_of
from tusou.encoders.cross.base import CrossEncoder, open_cross_encoder
from tusou.images.transform import ImageTransform
from tusou.retrieval.compatibility import find_bundle_weights
from tusou.stages.item_tokens import read_pixels
from tusou_indexer.stage_changes import StageChange

DEPTH, DEADLINE_MS, WEIGHT = 50, 200, 1.0
_BATCH = 64


def set_cross_encoder(
    bundle: Bundle, file: Path, folder: Path, progress: Progress, *, store: bool
) -> StageChange:
    """Return the change that reranks by the cross-encoder of a file.

    With `store`, the tokens of all images are computed from the source and written into `folder`,
    where they must stay until the change is made. Raises BadModel for a file that does not belong
    to the bundle's model, InvalidRequest for a bundle of texts, and BadDataset for a source that
    has changed.
    """
    if bundle.items == "texts":
        raise InvalidRequest("a cross-encoder scores images, and the items of the bundle are texts")
    weights = find_bundle_weights(bundle.manifest, ())
    encoder = open_cross_encoder(file, weights.members, "auto")
    add = {CROSS_ENCODER: file}
    if store:
        add[IMAGE_TOKENS] = folder / IMAGE_TOKENS
        _store_tokens(bundle, encoder, add[IMAGE_TOKENS], progress)
    record = RerankRecord(
        kind="cross_encoder",
        model=file.name,
        sha256=sha256_of(file),
        depth=DEPTH,
        deadline_ms=DEADLINE_MS,
        weight=WEIGHT,
        options={
            "tokens": "stored" if store else "computed",
            "bytes_per_item": encoder.shape.bytes_per_item if store else 0,
        },
    )
    # Files of the reranker before, which `add` may replace.
    drop = frozenset(RERANK_FILES).intersection(bundle.manifest.files)
    return StageChange({"rerank": record}, add=add, drop=drop)


def _store_tokens(bundle: Bundle, encoder: CrossEncoder, path: Path, progress: Progress) -> None:
    count = bundle.item_count
    tokens = open_memmap(path, "w+", np.float16, (count, encoder.shape.numbers_per_item))
    progress.begin("encoding image tokens", count)
    for start in range(0, count, _BATCH):
        keys = range(start, min(start + _BATCH, count))
        pixels = np.stack([_pixels(bundle, key, encoder.transform) for key in keys])
        tokens[start : start + len(keys)] = encoder.encode_images(pixels)
        progress.advance(len(keys))
    tokens.flush()


def _pixels(bundle: Bundle, key: int, transform: ImageTransform) -> Pixels:
    try:
        return read_pixels(bundle, bundle.image(str(bundle.ids.at(key)))[0], transform)
    except UnknownItem as error:
        raise BadDataset(f"{bundle.manifest.source.path}: {error}; index again") from None
