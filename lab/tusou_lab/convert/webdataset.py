"""Writes WebDataset: tars of ten thousand samples, an image and its JSON each."""

import io
import json
import tarfile
from pathlib import Path

from tusou.data.base import ONLY_SPLIT
from tusou_lab.convert.names import captions_of, described, ending, escaped
from tusou_lab.convert.writers import Notes, Split

_SAMPLES = 10_000


class WebDatasetWriter:
    """`{split}-000000.tar` and on; the same data gives the same bytes."""

    def __init__(self, folder: Path, notes: Notes) -> None:
        self._folder, self._notes = folder, notes
        self._tar: tarfile.TarFile | None = None

    def begin(self, split: Split) -> None:
        """Sort the texts by their images."""
        self._split, self._count = split, 0
        self._texts = captions_of(split, self._notes)

    def add(self, item_id: str, data: bytes) -> None:
        """Write a sample."""
        if self._count % _SAMPLES == 0:
            self._next_tar()
        self._count += 1
        key = escaped(item_id, also="./")
        row = described(self._split.typed(item_id), self._texts.get(item_id, []))
        self._member(key + ending(data), data)
        self._member(f"{key}.json", json.dumps(row, ensure_ascii=False).encode())

    def end(self) -> None:
        """Close the last tar."""
        if self._tar is not None:
            self._tar.close()
        self._tar = None

    def close(self) -> None:
        """Close what an error left open."""
        self.end()

    def _next_tar(self) -> None:
        self.end()
        before = "" if self._split.name == ONLY_SPLIT else f"{self._split.name}-"
        path = self._folder / f"{before}{self._count // _SAMPLES:06d}.tar"
        self._tar = tarfile.open(path, "w")  # noqa: SIM115 - until end()

    def _member(self, name: str, data: bytes) -> None:
        assert self._tar is not None
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))
