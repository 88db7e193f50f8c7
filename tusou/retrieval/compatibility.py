"""Checks that a bundle, its index and the model's weights belong together."""

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import Manifest
from tusou.core.errors import CorruptBundle, IncompatibleBundle, InvalidRequest
from tusou.encoders import TextEncoder, Weights, find_weights
from tusou.indexes import VectorIndex

# Another precision or processor stays above this cosine; another model is far below.
_GOLDEN_COSINE = 0.99


def find_bundle_weights(manifest: Manifest, location: str) -> Weights:
    """Return the weights at a location; IncompatibleBundle unless they made the bundle."""
    model = manifest.model
    try:
        weights = find_weights(location)
    except InvalidRequest as error:
        raise IncompatibleBundle(
            f"the weights that made the bundle ({model.name}, sha256 {model.sha256[:12]}) are not "
            f"where they were; give their path with --model. {error}"
        ) from None
    if weights.digest != model.sha256:
        raise IncompatibleBundle(
            f"the bundle was made with weights {model.name} ({model.sha256[:12]}), found "
            f"{weights.name} ({weights.digest[:12]}); give the right model with --model, "
            "or index again"
        )
    return weights


def check_compatibility(bundle: Bundle, index: VectorIndex, encoder: TextEncoder) -> None:
    """Raise IncompatibleBundle unless index, ids and golden texts match the manifest.

    Every file is read or opened now, because the version's folder may be deleted before the first
    search. Raises CorruptBundle for a file that contradicts the manifest.
    """
    texts, expected = bundle.golden
    _ = bundle.source_files, bundle.spans, bundle.vector_file, bundle.attributes, bundle.query_bank
    same_count = len(index) == len(bundle.ids) == bundle.item_count
    if not same_count or index.dim != bundle.index_dim:
        raise CorruptBundle(f"{bundle.folder}: index and ids do not belong together; index again")
    if encoder.dim != bundle.dim:
        raise IncompatibleBundle(
            f"{bundle.folder}: its vectors are not of this model's length; index again"
        )
    vectors = encoder.encode(encoder.prepare(texts))
    lowest = float(np.einsum("nd,nd->n", vectors, expected).min())
    if not lowest >= _GOLDEN_COSINE:
        raise IncompatibleBundle(
            f"this machine encodes the bundle's golden texts differently (cosine {lowest:.4f}); "
            "check the installed torch, openvino and cn_clip, or index again"
        )
