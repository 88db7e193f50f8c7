"""Whether a bundle, the weights and this machine belong together."""

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import Manifest
from tusou.core.errors import IncompatibleBundle, InvalidRequest
from tusou.encoders import TextEncoder, Weights, find_weights
from tusou.indexes import VectorIndex

# Precisions and processors may differ between the indexer and here; another model differs by far.
_GOLDEN_COSINE = 0.99


def weights_of(manifest: Manifest, place: str) -> Weights:
    """Find the weights that made a bundle where they are said to be; else IncompatibleBundle."""
    made = manifest.model
    try:
        weights = find_weights(place)
    except InvalidRequest as error:
        raise IncompatibleBundle(
            f"the weights that made the bundle ({made.name}, sha256 {made.sha256[:12]}) are not "
            f"where they were; say where they are with --model. {error}"
        ) from None
    if weights.digest != made.sha256:
        raise IncompatibleBundle(
            f"the bundle was made with weights {made.name} ({made.sha256[:12]}), found "
            f"{weights.name} ({weights.digest[:12]}); give the right model with --model, "
            "or index again"
        )
    return weights


def check_together(bundle: Bundle, index: VectorIndex, encoder: TextEncoder) -> None:
    """Raise IncompatibleBundle unless these are what the manifest promises, golden texts included.

    All is read now: the version's folder may be gone when it is first asked.
    """
    manifest, golden = bundle.manifest, bundle.golden
    counts = {len(index), len(bundle.ids), len(bundle.spans), len(bundle.vectors)}
    if (
        len(bundle.pool_files) != manifest.source.files
        or counts != {bundle.item_count}
        or {index.dim, encoder.dim} != {manifest.model.dim}
    ):
        raise IncompatibleBundle(
            f"{bundle.folder}: index, ids and model do not belong together; index again"
        )
    vectors = encoder.encode(encoder.prepare(golden.texts))
    worst = float(np.einsum("nd,nd->n", vectors, golden.vectors).min())
    if not worst >= _GOLDEN_COSINE:
        raise IncompatibleBundle(
            f"this machine encodes the bundle's golden texts otherwise (cosine {worst:.4f}); "
            "check the installed torch, openvino and cn_clip, or index again"
        )
