"""Builds the index of a version again, as the bundle was made with, for other vectors."""

from pathlib import Path

from tusou.bundle.manifest import Manifest
from tusou.core.arrays import Vectors
from tusou.encoders import TextEncoder
from tusou.indexes.milvus_address import MilvusTarget
from tusou_indexer.encode_contents import ContentEncoder
from tusou_indexer.index.recall_probes import image_probes, text_probes
from tusou_indexer.index.request import AUTO, IndexRequest
from tusou_indexer.index.tune import TunedIndex
from tusou_indexer.version_collection import build_version_index
from tusou_indexer.write_bundle import load_reference_encoder


def rebuild_index(manifest: Manifest, folder: Path, vectors: Vectors) -> TunedIndex:
    """Build and tune the index that the bundle was made with, for the version in a folder."""
    build = manifest.build
    target = str(build.get("target_recall", "default"))
    held = manifest.index.collection
    request = IndexRequest(
        str(build.get("index", AUTO)),
        None if target == "default" else float(target),
        build.get("index_device") == "gpu",
        None if held is None else MilvusTarget(held.uri, held.alias),
    )

    def probes() -> Vectors:
        if manifest.items == "texts":
            ensemble = ContentEncoder(manifest).weights
            return image_probes(ensemble.members, ensemble.weights)
        return text_probes(reference_encoder(manifest))

    return build_version_index(vectors, request, probes, folder)


def reference_encoder(manifest: Manifest) -> TextEncoder:
    """Return the encoder of a bundle's queries as builds use it; IncompatibleBundle."""
    members = ContentEncoder(manifest).weights.members
    return load_reference_encoder(members, manifest.model, manifest.templates)
