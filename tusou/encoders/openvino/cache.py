"""Cache of towers converted for OpenVINO, in a folder beside the weights.

    clip_cn_vit-b-16.pt.openvino/text-bf16-2-<digest of the weights>[-<of other settings>]/
        graph.xml, graph.bin    the graph, and its constants
        words.npy               a text tower's word embeddings, looked up before the graph runs
        digests.json            the SHA-256 of each file
    clip_cn_vit-b-16.pt.openvino/text-auto-2-<digest of the weights>[-<of other settings>].json
                                the precision that `auto` takes (`precision_file.py`)

A folder of weights has its cache inside, `tusou.openvino/`. That of a checkpoint of open_clip has
the name of the architecture, as in `epoch_9.pt.ViT-B-32.openvino/`.

A start that finds its tower here needs neither torch nor the tensors of the checkpoint.
"""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.core.files import sha256_of, sync, write_file
from tusou.encoders.architecture import Tower
from tusou.encoders.base import Weights

# Increase this when the same weights are converted to another graph or to other files.
_LAYOUT = 2

GRAPH, WORDS = "graph.xml", "words.npy"
_DIGESTS, _LOCK, _NEW = "digests.json", ".lock", ".new"

_log = logging.getLogger(__name__)


# An openvino.Model, and a text tower's word embeddings (vocabulary, width).
ConvertedTower: TypeAlias = tuple[Any, npt.NDArray[np.float16 | np.float32] | None]


def find_cached(weights: Weights, tower: Tower, precision: str, variant: str = "") -> Path | None:
    """Return the folder of a converted tower; None if it is missing or damaged.

    `variant` is that of a `ResolvedEncoder`.
    """
    folder = _folder(weights, tower, precision, variant)
    if not folder.is_dir():
        return None
    digests = _read_digests(folder)
    if not digests or any(
        not (folder / name).is_file() or sha256_of(folder / name) != digest
        for name, digest in digests.items()
    ):
        _log.warning("%s is damaged: the weights are converted again", folder)
        return None
    return folder


def store(
    weights: Weights,
    tower: Tower,
    precision: str,
    write: Callable[[Path], None],
    variant: str = "",
) -> None:
    """Store the files that `write` creates in a folder, in place of those of earlier weights.

    One process writes at a time, and others see a complete folder or none. If nothing can be
    written, the log says so and the conversion is repeated at every start.
    """
    home, folder = cache_folder(weights), _folder(weights, tower, precision, variant)
    try:
        home.mkdir(exist_ok=True)
        with (home / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if find_cached(weights, tower, precision, variant):  # another process was faster
                return
            for old in (home / _NEW, folder, *_outdated(weights, tower, precision)):
                shutil.rmtree(old, ignore_errors=True)
            (home / _NEW).mkdir()
            write(home / _NEW)
            files = sorted((home / _NEW).iterdir())
            for path in files:
                sync(path)
            digests = {path.name: sha256_of(path) for path in files}
            write_file(home / _NEW / _DIGESTS, json.dumps(digests, indent=1).encode())
            (home / _NEW).rename(folder)
            sync(home)
    except OSError as error:
        _log.warning(
            "cannot store the converted weights in %s (%s): every start converts them again",
            home,
            error.strerror or error,
        )


def discard(weights: Weights, tower: Tower, precision: str, variant: str = "") -> None:
    """Delete a converted tower, which is no longer needed."""
    with suppress(OSError), (cache_folder(weights) / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(_folder(weights, tower, precision, variant), ignore_errors=True)


def can_store(weights: Weights) -> bool:
    """Return whether this process may write beside the weights."""
    home = cache_folder(weights)
    return os.access(home if home.exists() else home.parent, os.W_OK)


def cache_folder(weights: Weights) -> Path:
    """Return the folder of the weights' converted towers, whether it exists or not."""
    path = weights.path
    if path.is_dir():
        return path / "tusou.openvino"
    name = f"{path.name}.{weights.open_clip}" if weights.open_clip else path.name
    return path.with_name(f"{name}.openvino")


def cache_key(weights: Weights, tower: Tower, precision: str, variant: str) -> str:
    """Return the name of a converted tower's folder."""
    key = f"{tower}-{precision}-{_LAYOUT}-{weights.digest[:16]}"
    return f"{key}-{variant}" if variant else key


def _outdated(weights: Weights, tower: Tower, precision: str) -> Iterator[Path]:
    """Yield the folders of a tower of earlier weights, or of an earlier layout."""
    key = cache_key(weights, tower, precision, "")
    for folder in cache_folder(weights).glob(f"{tower}-{precision}-[0-9]*"):
        if folder.is_dir() and folder.name != key and not folder.name.startswith(f"{key}-"):
            yield folder


def _folder(weights: Weights, tower: Tower, precision: str, variant: str) -> Path:
    return cache_folder(weights) / cache_key(weights, tower, precision, variant)


def _read_digests(folder: Path) -> dict[str, str] | None:
    try:
        digests = json.loads((folder / _DIGESTS).read_bytes())
    except (OSError, ValueError):
        return None
    return digests if isinstance(digests, dict) and GRAPH in digests else None
