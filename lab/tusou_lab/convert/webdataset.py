"""Writes WebDataset tars of ten thousand samples: an image and its JSON each."""

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from tusou.data.base import ONLY_SPLIT
from tusou_lab.convert.names import escape_id, file_ending
from tusou_lab.convert.split import SourceSplit

_SAMPLES_PER_TAR = 10_000


def write_webdataset(folder: Path, splits: Iterable[SourceSplit], notes: Counter[str]) -> None:
    """Write `{split}-000000.tar` and so on; the same data gives the same bytes."""
    for split in splits:
        captions = split.captions(notes)
        prefix = "" if split.name == ONLY_SPLIT else f"{split.name}-"
        with ExitStack() as open_tar:
            for number, (item_id, data) in enumerate(split.images):
                if number % _SAMPLES_PER_TAR == 0:
                    open_tar.close()
                    path = folder / f"{prefix}{number // _SAMPLES_PER_TAR:06d}.tar"
                    tar = open_tar.enter_context(tarfile.open(path, "w"))
                key = escape_id(item_id, also="./")
                row = split.describe_image(item_id, captions)
                _add_member(tar, key + file_ending(data), data)
                _add_member(tar, f"{key}.json", json.dumps(row, ensure_ascii=False).encode())


def _add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
