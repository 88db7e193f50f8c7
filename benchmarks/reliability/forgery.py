"""Damages and forgeries of a bundle's version.

A damage changes bytes and leaves the manifest alone. A forgery makes manifest and name agree with
the changed content again, so that only the content itself can reveal it.
"""

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from tusou.bundle.manifest import (
    ATTRIBUTES,
    FAILURES,
    FILES,
    GOLDEN,
    IDS,
    INDEX,
    MANIFEST,
    PARTS,
    SPANS,
    VECTORS,
    version_of,
)

_NONSENSE: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 2**31, 2**62, 2**70, 0.5, 1e308, float("nan"), "", "x", "\0", "../.."),
    *("\ud800", "x" * 5000, [], {}, [[]] * 3, {"a": 1}, "nprobe=0", "IVF9,Flat", "texts", "torch"),
)
_LINES = (b"", b"\xff", b"1003", b"-1", b"007", b"9" * 40, b"1e3", b"\0", b"x" * 100_000, b" 5")


def version_folder(root: Path) -> Path:
    """Return the folder of the version that CURRENT names."""
    return root / (root / "CURRENT").read_text().strip()


def reseal(root: Path) -> None:
    """Make the manifest, the version's name and CURRENT agree with the files as they are."""
    folder = version_folder(root)
    path = folder / MANIFEST
    manifest = json.loads(path.read_bytes())
    for part in (*PARTS, ATTRIBUTES):
        if (folder / part).is_file() and isinstance(manifest.get("files"), dict):
            data = (folder / part).read_bytes()
            record = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            manifest["files"][part] = record
    write_manifest(root, manifest)


def write_manifest(root: Path, manifest: object) -> None:
    """Replace the manifest by any JSON value, and name the version after it."""
    folder = version_folder(root)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    name = version_of(folder / MANIFEST)
    folder.rename(root / name)
    (root / "CURRENT").write_text(name + "\n")


def damage(root: Path, draw: random.Random) -> str:
    """Change a file of the version in a random way; return what was done."""
    folder = version_folder(root)
    path = folder / draw.choice([*PARTS, MANIFEST])
    data = path.read_bytes()
    kind = draw.choice(["flip", "cut", "zero", "append", "empty", "delete", "swap", "folder"])
    changed = mutate(data, kind, draw)
    if kind == "swap":
        changed = (folder / draw.choice(PARTS)).read_bytes()
    if kind in {"delete", "folder"}:
        path.unlink()
        if kind == "folder":
            path.mkdir()
    elif changed == data:
        path.write_bytes(data + b"\n")
    else:
        path.write_bytes(changed)
    return f"{kind} {path.name}"


def mutate(data: bytes, kind: str, draw: random.Random) -> bytes:
    """Return bytes after a flip of up to eight bits, a cut, zeroes in the middle, or more bytes."""
    changed = bytearray(data)
    if kind == "flip" and changed:
        for _ in range(draw.randint(1, 8)):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        del changed[draw.randrange(len(changed) + 1) :]
    elif kind == "zero" and changed:
        start = draw.randrange(len(changed))
        changed[start : start + 64] = bytes(len(changed[start : start + 64]))
    elif kind == "append":
        changed += draw.randbytes(draw.randint(1, 64))
    elif kind == "empty":
        changed.clear()
    return bytes(changed)


def forge(root: Path, draw: random.Random) -> str:
    """Give the version a content that makes no sense, and right digests; return what was done."""
    name, change = draw.choice(_FORGERIES)
    return f"{name}: {change(root, draw)}"


def leaves(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a JSON document, containers included."""
    yield path
    parts = dict(enumerate(value)) if isinstance(value, list) else value
    for key, part in parts.items() if isinstance(parts, dict) else ():
        yield from leaves(part, (*path, key))


def replaced(document: object, path: tuple[Any, ...], value: object) -> object:
    """Return a JSON document with another value at a path."""
    if not path:
        return value
    copy = json.loads(json.dumps(document))
    part = copy
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return copy


def _manifest(root: Path, draw: random.Random) -> str:
    manifest = json.loads((version_folder(root) / MANIFEST).read_bytes())
    path, value = draw.choice(list(leaves(manifest))), draw.choice(_NONSENSE)
    write_manifest(root, replaced(manifest, path, value))
    return f"{path} = {value!r:.40}"


def _json(name: str, root: Path, draw: random.Random) -> str:
    path = version_folder(root) / name
    document = json.loads(path.read_bytes())
    where = draw.choice(list(leaves(document))[:40])
    value = draw.choice([*_NONSENSE, [[0] * 3] * 2])
    path.write_text(json.dumps(replaced(document, where, value)))
    if draw.random() < 0.2:
        path.write_bytes(draw.choice([b"", b"[" * 100_000, b"{", b"\xff", b"9" * 5000]))
    reseal(root)
    return f"{where} = {value!r:.40}"


def _lines(name: str, root: Path, draw: random.Random) -> str:
    path = version_folder(root) / name
    lines = path.read_bytes().splitlines() or [b"{}"]
    position = draw.randrange(len(lines))
    new = draw.choice(_LINES)
    kind = draw.choice(["replace", "insert", "delete", "cut"])
    if kind == "delete":
        del lines[position]
    elif kind == "cut":
        del lines[position:]
    else:
        lines[position : position + (kind == "replace")] = [new]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    reseal(root)
    return f"{kind} {position} {new!r:.30}"


def _array(name: str, root: Path, draw: random.Random) -> str:
    path = version_folder(root) / name
    array = np.load(path)
    kind = draw.choice(["value", "type", "shape", "rows", "header", "order", "bytes"])
    if kind == "value":
        extremes = np.array([-1, 2**40, 2**62 if name == SPANS else np.nan]).astype(array.dtype)
        array[draw.randrange(len(array)), draw.randrange(array.shape[1])] = draw.choice(extremes)
        np.save(path, array)
    elif kind == "type":
        np.save(path, array.astype(draw.choice(["<f8", "<i4", ">f4", "S8"])))
    elif kind == "shape":
        np.save(path, array.reshape(-1))
    elif kind == "rows":
        np.save(path, array[: len(array) // 2])
    elif kind == "order":
        np.save(path, np.asfortranarray(array))
    elif kind == "header":
        data = path.read_bytes()
        path.write_bytes(data.replace(b"(", draw.choice([b"(99", b"((", b"[", b"(-", b"("])))
    else:
        path.write_bytes(mutate(path.read_bytes(), draw.choice(["cut", "append", "empty"]), draw))
    reseal(root)
    return kind


def _index(root: Path, draw: random.Random) -> str:
    """Replace the index by one of other vectors, another kind, or no index at all."""
    path = version_folder(root) / INDEX
    vectors = np.load(version_folder(root) / VECTORS)
    count, dim = vectors.shape
    kind = draw.choice(["dim", "count", "kind", "metric", "ids", "empty", "cut", "other"])
    if kind in {"empty", "cut"}:
        path.write_bytes(mutate(path.read_bytes(), kind, draw))
    elif kind == "other":
        shutil.copy(version_folder(root) / draw.choice(PARTS), path)
    else:
        metric = faiss.METRIC_L2 if kind == "metric" else faiss.METRIC_INNER_PRODUCT
        factory = "Flat" if kind in {"dim", "count", "metric"} else "IDMap,Flat"
        index = faiss.index_factory(dim + 8 * (kind == "dim"), factory, metric)
        rows = np.zeros((count + (kind == "count"), index.d), np.float32)
        ids = np.arange(len(rows)) + (count if kind == "ids" else 0)
        if factory == "Flat":
            index.add(rows)
        else:
            index.add_with_ids(rows, ids)
        faiss.write_index(index, str(path))
    reseal(root)
    return kind


_FORGERIES: tuple[tuple[str, Callable[[Path, random.Random], str]], ...] = (
    *((MANIFEST, _manifest) for _ in range(4)),  # it has the most values
    (GOLDEN, partial(_json, GOLDEN)),
    (FILES, partial(_json, FILES)),
    (IDS, partial(_lines, IDS)),
    (FAILURES, partial(_lines, FAILURES)),
    (VECTORS, partial(_array, VECTORS)),
    (SPANS, partial(_array, SPANS)),
    (INDEX, _index),
)
