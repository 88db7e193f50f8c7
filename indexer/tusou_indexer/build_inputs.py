"""The inputs of a build: source, model, settings and libraries that the vectors depend on."""

import os
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tusou import __version__
from tusou.data import ItemPool, open_pool

_LIBRARIES = ("cn-clip", "faiss-cpu", "faiss-gpu", "numpy", "pillow", "torch")


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """Everything that the bytes of the shards depend on; equal inputs can share finished shards."""

    source: str  # absolute path
    split: str | None
    stamp: str  # changes when a file of the source does
    model_sha256: str
    device: str
    precision: str  # of the towers that encode the items, never `auto`; a list if they differ
    backend: str  # likewise
    shard_rows: int
    batch_rows: int
    prepare: str  # steps before the resize of images, or `none`
    max_megapixels: int  # larger images are failures
    libraries: dict[str, str]
    views: str = "none"  # of an image, whose vectors are averaged


def open_source(inputs: BuildInputs) -> ItemPool:
    """Return the source of a build, which is not read yet."""
    return open_pool(inputs.source if inputs.split is None else f"{inputs.source}#{inputs.split}")


def library_versions(backends: str) -> dict[str, str]:
    """Return the versions of the libraries that a bundle's bytes depend on."""
    versions = {"tusou": __version__}
    for name in sorted({*_LIBRARIES, *backends.split(",")}):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # faiss-cpu or faiss-gpu, never both
            continue
    return versions


def source_stamp(source: Path) -> str:
    """Return a digest of the names, sizes and modification times of the source's files."""
    stamp = blake2b(digest_size=16)
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        state = path.lstat()
        stamp.update(os.fsencode(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0"))
    return stamp.hexdigest()
