"""The files of a version, each checked against the manifest when it is read.

A manifest's digests tell whether a file has changed since it was published. They do not tell
whether it was valid then: these functions raise CorruptBundle for content that would make a
search fail.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from tusou.bundle.array_file import load_array
from tusou.bundle.manifest import LIVE_IMAGES, Manifest
from tusou.core.arrays import Vectors
from tusou.core.errors import CorruptBundle
from tusou.core.lazy_import import LazyImport

if TYPE_CHECKING:
    from tusou.attributes.table import AttributeTable

_TABLE = LazyImport("tusou.attributes.table:AttributeTable")  # imports pyarrow
_OTHERS = (RecursionError, TypeError, ValueError)
_CRC_LIMIT = 2**32
_MAX_PATH_BYTES = 4096


@contextmanager
def damage_as_corrupt(path: Path) -> Iterator[None]:
    """Raise CorruptBundle in place of the errors that wrong content causes in Python."""
    try:
        yield
    except (ArithmeticError, LookupError, MemoryError, OSError, *_OTHERS) as error:
        reason = str(error).partition("\n")[0][:160] or type(error).__name__
        raise CorruptBundle(f"{path} cannot be used: {reason}; index again") from None


def read_golden(path: Path, manifest: Manifest) -> tuple[list[str], Vectors]:
    """Return the golden texts and their vectors, (n, d)."""
    with damage_as_corrupt(path):
        stored = json.loads(path.read_bytes())
        texts: list[str] = stored["texts"]
        vectors = np.array(stored["vectors"], np.float32).reshape(-1, manifest.model.dim)
        _require(isinstance(texts, list), "no golden texts")
        _require(bool(texts) == manifest.has_encoder, "golden texts without a model, or none")
        _require(all(isinstance(text, str) for text in texts), "a golden text is not a text")
        for text in texts:
            text.encode()
        _require(vectors.shape == (len(texts), manifest.model.dim), "golden vectors of wrong shape")
        _require(np.isfinite(vectors).all(), "a golden vector is not finite")
    return texts, vectors


def read_file_names(path: Path, manifest: Manifest) -> list[str]:
    """Return the names of the source's files, by number."""
    with damage_as_corrupt(path):
        names: list[str] = json.loads(path.read_bytes())
        _require(isinstance(names, list), "no list of file names")
        _require(
            len(names) == manifest.source.files, "the number of files differs from the manifest's"
        )
        for name in names:
            _require(isinstance(name, str) and name and "\0" not in name, "a wrong file name")
            _require(len(name.encode()) <= _MAX_PATH_BYTES, "a file name is too long")
    return names


def read_spans(path: Path, manifest: Manifest) -> npt.NDArray[np.int64]:
    """Return file number, byte offset, length and CRC-32 of every item, (n, 4)."""
    spans: npt.NDArray[np.int64] = load_array(path, "<i8", (manifest.counts.embedded, 4))
    with damage_as_corrupt(path):
        file, offset, length, check = spans.T
        size = np.full(len(spans), manifest.source.size)
        files = manifest.source.files
        if LIVE_IMAGES in manifest.files:
            size[file == files] = manifest.files[LIVE_IMAGES].size
            files += 1
        _require((spans >= 0).all(), "a span with a negative number")
        _require((file < files).all(), "a span of an unknown file")
        _require((check < _CRC_LIMIT).all(), "a checksum of more than 32 bits")
        _require(
            (length <= size).all() and (offset <= size - length).all(), "a span outside the files"
        )
    return spans


def read_attributes(path: Path, manifest: Manifest) -> "AttributeTable":
    """Return the attributes of the items, by row key."""
    table_type = cast("type[AttributeTable]", _TABLE.load())
    with damage_as_corrupt(path):
        table = table_type.read(path)
        _require(table.schema == manifest.attributes, "other attributes than the manifest's")
        _require(len(table) == manifest.counts.embedded, f"attributes of {len(table)} items")
    return table


def read_hub_bias(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return the bias of each item, and what else is stored beside it, (n, columns)."""
    bias = load_array(path, "<f2", shape).astype(np.float32)
    with damage_as_corrupt(path):
        _require(np.isfinite(bias).all(), "a bias that is not finite")
    return bias


def count_failures(path: Path) -> int:
    """Return the number of rows of `failures.jsonl`, each of them a JSON object."""
    rows = 0
    with damage_as_corrupt(path), path.open("rb") as file:
        for rows, line in enumerate(file, 1):
            _require(isinstance(json.loads(line), dict), f"line {rows} is not a JSON object")
    return rows


def check_vectors(path: Path, vectors: Vectors) -> None:
    """Raise CorruptBundle unless every vector is finite and of unit length."""
    block = 1 << 16
    for start in range(0, len(vectors), block):
        norms = np.linalg.norm(vectors[start : start + block], axis=1)
        if not (np.abs(norms - 1) < 0.01).all():
            raise CorruptBundle(f"{path} holds vectors that are not of unit length; index again")


def _require(condition: Any, fault: str) -> None:
    if not condition:
        raise ValueError(fault)
