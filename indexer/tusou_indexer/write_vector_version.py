"""Writes the files of a version that is built from vectors."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tusou.bundle.array_file import array_header, map_array, save_array
from tusou.bundle.manifest import (
    ATTRIBUTES,
    FAILURES,
    FILES,
    GOLDEN,
    IDS,
    INDEX,
    SPANS,
    VECTORS,
    Manifest,
)
from tusou.bundle.manifest_file import file_records, write_manifest
from tusou.bundle.vector_file import VECTOR_TYPE
from tusou.core.arrays import Vectors
from tusou.core.files import create_file, naming_file
from tusou.encoders import TextEncoder, load_reference_text_encoder
from tusou_indexer.index.recall_probes import image_probes, text_probes
from tusou_indexer.vector_build_inputs import VectorBuildInputs, VectorBuildSpec
from tusou_indexer.version_collection import build_version_index
from tusou_indexer.write_bundle import GOLDEN_TEXTS, write_lines


def write_version(
    spec: VectorBuildSpec, inputs: VectorBuildInputs, fields: dict[str, Any], folder: Path
) -> Manifest:
    """Write every file of a version, the manifest last."""
    checked, items = inputs.checked, inputs.items
    rows = (json.dumps(bad.record(), ensure_ascii=False) for bad in checked.failures)
    write_lines(folder / FAILURES, rows)
    write_lines(folder / IDS, checked.ids)
    if inputs.attributes is not None:
        inputs.attributes.of_items(checked.ids).write(folder / ATTRIBUTES)
    save_array(folder / SPANS, items.spans)
    write_lines(folder / FILES, [json.dumps(items.files)])
    vectors = _write_vectors(inputs, folder / VECTORS)
    encoder = None
    if inputs.weights is not None:
        encoder = load_reference_text_encoder(inputs.weights, spec.prompt)
    write_lines(folder / GOLDEN, [json.dumps(_golden(encoder), ensure_ascii=False)])
    probes = partial(_probes, inputs, encoder)
    built = build_version_index(vectors, spec.index, probes, folder)
    with naming_file(folder / INDEX):
        built.index.save(folder / INDEX)
    manifest = Manifest(**fields, index=built.record, files=file_records(folder))
    write_manifest(manifest, folder)
    return manifest


def _write_vectors(inputs: VectorBuildInputs, path: Path) -> npt.NDArray[np.float32]:
    """Write the usable rows as unit vectors; return them mapped from the file."""
    shape = len(inputs.checked.rows), inputs.vectors.dim
    with create_file(path) as file:
        file.write(array_header(VECTOR_TYPE, shape))
        for block in inputs.vectors.unit_rows(inputs.checked.rows):
            file.write(np.ascontiguousarray(block, VECTOR_TYPE).data)
    return map_array(path, VECTOR_TYPE, shape)


def _golden(encoder: TextEncoder | None) -> dict[str, object]:
    if encoder is None:
        return {"texts": [], "vectors": []}
    vectors = encoder.encode(encoder.prepare(GOLDEN_TEXTS))
    return {"texts": GOLDEN_TEXTS, "vectors": vectors.tolist()}


def _probes(inputs: VectorBuildInputs, encoder: TextEncoder | None) -> Vectors:
    """Return query vectors of the other kind than the items; none without an encoder."""
    if encoder is None or inputs.weights is None:
        return np.empty((0, inputs.vectors.dim), np.float32)
    is_images = inputs.items.kind == "images"
    return text_probes(encoder) if is_images else image_probes([inputs.weights])
