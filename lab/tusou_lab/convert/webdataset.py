"""Writes WebDataset tars of ten thousand samples: an image and its JSON each."""

import io
import json
import tarfile
from pathlib import Path

from tusou.data.base import ONLY_SPLIT
from tusou_lab.convert.names import describe_image, escape_id, file_ending, group_captions
from tusou_lab.convert.writers import ConversionNotes, SourceSplit

_SAMPLES_PER_TAR = 10_000


class WebDatasetWriter:
    """Writes `{split}-000000.tar` and so on; the same data gives the same bytes."""

    def __init__(self, folder: Path, notes: ConversionNotes) -> None:
        self._folder, self._notes = folder, notes
        self._tar: tarfile.TarFile | None = None

    def begin(self, split: SourceSplit) -> None:
        self._split, self._count = split, 0
        self._captions = group_captions(split, self._notes)

    def add(self, item_id: str, data: bytes) -> None:
        if self._count % _SAMPLES_PER_TAR == 0:
            self._open_next_tar()
        self._count += 1
        key = escape_id(item_id, also="./")
        row = describe_image(self._split.json_id(item_id), self._captions.get(item_id, []))
        self._add_member(key + file_ending(data), data)
        self._add_member(f"{key}.json", json.dumps(row, ensure_ascii=False).encode())

    def end(self) -> None:
        if self._tar is not None:
            self._tar.close()
        self._tar = None

    def close(self) -> None:
        self.end()

    def _open_next_tar(self) -> None:
        self.end()
        prefix = "" if self._split.name == ONLY_SPLIT else f"{self._split.name}-"
        path = self._folder / f"{prefix}{self._count // _SAMPLES_PER_TAR:06d}.tar"
        self._tar = tarfile.open(path, "w")  # noqa: SIM115 - closed by end()

    def _add_member(self, name: str, data: bytes) -> None:
        assert self._tar is not None
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))
