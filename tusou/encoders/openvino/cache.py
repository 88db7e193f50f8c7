"""Graphs converted for OpenVINO, kept beside the weights they were made from.

    clip_cn_vit-b-16.pt.openvino/text-bf16-1-<digest of the weights>/
        graph.xml, graph.bin    its constants lie in the second
        words.npy               a text tower's table, looked up before the graph
        kept.json               the digest of each

A start that finds its graph needs neither torch nor the numbers in the checkpoint.
"""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tusou.core.files import sha256_of, sync, write_file
from tusou.encoders.architecture import Tower
from tusou.encoders.base import Weights

# Raise it when the same weights would be converted into another graph.
_LAYOUT = 1

GRAPH, WORDS = "graph.xml", "words.npy"
_RECORD, _LOCK, _NEW = "kept.json", ".lock", ".new"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Converted:
    """A tower as OpenVINO takes it."""

    model: Any  # openvino.Model
    words: npt.NDArray[np.float16 | np.float32] | None  # (vocabulary, width); none of images


def find_kept(weights: Weights, tower: Tower, precision: str) -> Path | None:
    """Find the folder of a tower of these weights; None if there is none, or it is damaged."""
    folder = _folder(weights, tower, precision)
    if not folder.is_dir():
        return None
    record = _record(folder)
    if not record or any(_seal(folder / name) != seal for name, seal in record.items()):
        _log.warning("%s is damaged: the weights are converted again", folder)
        return None
    return folder


def keep(weights: Weights, tower: Tower, precision: str, write: Callable[[Path], None]) -> None:
    """Have a graph written and keep it, in place of those of weights that were there before.

    One process writes at a time, and others see a whole graph or none. Where nothing can be
    written the log says so: nothing is lost but time.
    """
    home, folder = _home(weights), _folder(weights, tower, precision)
    try:
        home.mkdir(exist_ok=True)
        with (home / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if find_kept(weights, tower, precision):  # another process was first
                return
            for old in (home / _NEW, *home.glob(f"{tower}-{precision}-*")):
                shutil.rmtree(old, ignore_errors=True)
            (home / _NEW).mkdir()
            write(home / _NEW)
            _write_record(home / _NEW)
            (home / _NEW).rename(folder)
            sync(home)
    except OSError as error:
        _log.warning(
            "cannot keep the converted weights in %s (%s): every start converts them again",
            home,
            error.strerror or error,
        )


def can_keep(weights: Weights) -> bool:
    """Tell whether anything may be written beside the weights."""
    home = _home(weights)
    return os.access(home if home.exists() else home.parent, os.W_OK)


def _write_record(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.name != _RECORD)
    for path in files:
        sync(path)
    record = {path.name: _seal(path) for path in files}
    write_file(folder / _RECORD, json.dumps(record, indent=1).encode())


def _home(weights: Weights) -> Path:
    return weights.path.with_name(f"{weights.path.name}.openvino")


def _folder(weights: Weights, tower: Tower, precision: str) -> Path:
    return _home(weights) / f"{tower}-{precision}-{_LAYOUT}-{weights.digest[:16]}"


def _record(folder: Path) -> dict[str, str] | None:
    """Read the digest of each file, the graph among them."""
    try:
        record = json.loads((folder / _RECORD).read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and GRAPH in record else None


def _seal(path: Path) -> str | None:
    return sha256_of(path) if path.is_file() else None
