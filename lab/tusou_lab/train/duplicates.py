"""Images of a split that are the same product image: equal pixels, or near duplicates."""

import json
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image

from tusou.cli.progress import Progress
from tusou.core.arrays import Pixels
from tusou.core.files import write_file
from tusou_lab.check.fingerprint import THUMBNAIL_SIDE, ImageFingerprint
from tusou_lab.check.near_duplicates import Groups, group_near_duplicates, group_same_bytes
from tusou_lab.train.data import TrainingSplit
from tusou_lab.train.losses.base import Duplicates
from tusou_lab.train.pixel_stack import PixelStack

_DIGEST_BYTES = 16
_REDUCED_SIDE = 128  # as for the thumbnails of `tusou check`


def find_duplicates(
    split: TrainingSplit, kind: Duplicates, cache: Path, progress: Progress
) -> Groups:
    """Return groups of positions of images; all of a group look the same as its first.

    Near duplicates are those that `tusou check` reports, compared as the model sees them. The
    groups are found once and kept in the folder `cache`.
    """
    if kind == "none":
        return []
    shape = f"{split.record.sha256} {split.pixels.shape} {kind}"
    key = blake2b(shape.encode(), digest_size=12).hexdigest()
    path = cache / f"duplicates-{key}.json"
    if not path.exists():
        groups = _compare(split.pixels, kind, progress)
        cache.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps(groups).encode())
    stored: Groups = json.loads(path.read_text())
    return stored


def _compare(pixels: PixelStack, kind: Duplicates, progress: Progress) -> Groups:
    progress.begin("comparing images", len(pixels))
    fingerprints = []
    for image in pixels:
        fingerprints.append(_fingerprint(np.asarray(image)))
        progress.advance()
    same = group_same_bytes(fingerprints)
    return same if kind == "exact" else [*same, *group_near_duplicates(fingerprints)]


def _fingerprint(pixels: Pixels) -> ImageFingerprint:
    image = Image.fromarray(pixels)
    flat = image.reduce(max(1, min(image.size) // _REDUCED_SIDE))
    thumbnail = flat.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    digest = blake2b(pixels.tobytes(), digest_size=_DIGEST_BYTES).digest()
    return ImageFingerprint(
        "", "RGB", "", *image.size, turned=False, transparent=False,
        digest=digest, thumbnail=thumbnail.tobytes(),
    )  # fmt: skip
