"""WebDataset: tar files whose members of one key are an image and its captions, read in place."""

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tusou.core.errors import BadDataset, BadImage
from tusou.core.ids import Encoding, Failure, ItemId, ItemKind, is_id
from tusou.data.base import ONLY_SPLIT, DatasetQuery, ItemPool, ItemRow, parse_item_id, sort_splits
from tusou.data.captions import Caption, caption_queries
from tusou.images.formats import check_bytes

MAX_TEXT_BYTES = 2**20

_NUMBER = re.compile(r"[-_.]?\d+$")
_IMAGES = {"jpg", "jpeg", "png", "webp"}
_TEXTS = {"txt", "json"}


@dataclass(slots=True)
class _Sample:
    """What the members of one key hold; consecutive in a tar, as WebDataset demands."""

    tar: int
    number: int  # of the sample within its split, from 1
    key: str
    image: tuple[int, int] | None = None  # offset, length
    texts: dict[str, bytes] = field(default_factory=dict)  # by ending
    problem: str = ""  # with a text


class WebDataset:
    """Numbered tars in a folder, or one tar; the id is the key unless the sample's JSON has one."""

    def __init__(self, tars: dict[str, list[Path]]) -> None:
        self._tars = tars

    @classmethod
    def find(cls, place: Path) -> Self | None:
        """Open a tar or a folder of tars; names that differ only in their number are one split."""
        found = sorted(place.glob("*.tar")) if place.is_dir() else [place]
        tars: dict[str, list[Path]] = {}
        for path in found:
            if path.suffix == ".tar" and path.is_file():
                tars.setdefault(_NUMBER.sub("", path.stem) or ONLY_SPLIT, []).append(path)
        return cls(tars) if tars else None

    def splits(self) -> Sequence[str]:
        """Name what stands before the numbers."""
        return sort_splits(self._tars)

    def images(self, split: str) -> ItemPool:
        """Give the images of a split as items."""
        return TarImages(self._tars[split])

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        """Yield the captions of a split's samples."""
        return caption_queries(self._captions(split))

    def queries_file(self, split: str) -> None:
        """Say that no split has a query file."""

    def asking_images(self, split: str) -> None:
        """Leave it to the queries: they name the images."""

    def _captions(self, split: str) -> Iterator[Caption | Failure]:
        for sample in _samples(self._tars[split]):
            yield from [sample] if isinstance(sample, Failure) else _captions(sample)


class TarImages:
    """The images in tars, each at its byte offset; `sha256` is taken over the tars' bytes."""

    kind: ItemKind = "images"
    encoding: Encoding = "raw"

    def __init__(self, tars: Sequence[Path]) -> None:
        self.files = tars
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The digest of the tars' digests, in hexadecimal."""
        return self._hash.hexdigest()

    def scan(self) -> Iterator[ItemRow | Failure]:
        """Yield every sample that has an image once, in order."""
        for path in self.files:
            with path.open("rb") as file:
                self._hash.update(hashlib.file_digest(file, "sha256").digest())
                self.size += file.tell()
        for sample in _samples(self.files):
            if isinstance(sample, Failure):
                yield sample
            elif sample.image is not None:
                yield _row(sample, self.files[sample.tar].name, *sample.image)


def _row(sample: _Sample, tar: str, offset: int, length: int) -> ItemRow | Failure:
    item_id, problem = parse_item_id(str(_item_id(sample)).encode(errors="surrogateescape"))
    if problem:
        return Failure(sample.number, item_id, problem, tar)
    try:
        check_bytes(length)
    except BadImage as error:
        return Failure(sample.number, item_id, str(error), tar)
    return ItemRow(sample.number, item_id or "", sample.tar, offset, length)


def _samples(tars: Sequence[Path]) -> Iterator[_Sample | Failure]:
    """Group the members of each tar by key, in memory that does not grow with it."""
    number = 0
    for place, path in enumerate(tars):
        sample: _Sample | None = None
        broken: list[Failure] = []
        with _opened(path) as tar:
            for member in _members(path, tar):
                if isinstance(member, str):
                    broken.append(Failure(number, None, member, path.name))
                    continue
                key, ending = _split_name(member.name)
                if sample is None or sample.key != key:
                    if sample is not None:
                        yield sample
                    number += 1
                    sample = _Sample(place, number, key)
                _add(sample, ending, member, tar)
        if sample is not None:
            yield sample
        yield from broken


def _opened(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:", errors="surrogateescape")
    except tarfile.ReadError as error:
        raise BadDataset(
            f"{path}: not an uncompressed tar ({error}); images are read in place, so unpack it"
        ) from None


def _members(path: Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo | str]:
    """Yield the files; a text says what broke the tar."""
    while True:
        try:
            member = tar.next()
        except (tarfile.TarError, OSError, ValueError) as error:
            yield f"broken tar: {error}"
            return
        if member is None:
            if path.stat().st_size % tarfile.BLOCKSIZE:
                yield "broken tar: it ends in the middle of a block"
            return
        # It would remember every header it has read.
        tar.members = []  # type: ignore[attr-defined]
        hidden = member.name.rpartition("/")[2].startswith(".")
        if member.isfile() and not hidden:
            yield member


def _split_name(name: str) -> tuple[str, str]:
    """Split as WebDataset does: the key ends at the first dot of the last part."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{folder}{slash}{stem}", ending.lower()


def _add(sample: _Sample, ending: str, member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
    if ending in _IMAGES and sample.image is None:
        sample.image = (member.offset_data, member.size)
    elif ending in _TEXTS and member.size > MAX_TEXT_BYTES:
        sample.problem = f"caption longer than {MAX_TEXT_BYTES} bytes"
    elif ending in _TEXTS:
        file = tar.extractfile(member)
        sample.texts[ending] = file.read() if file else b""


def _item_id(sample: _Sample) -> ItemId:
    known = (_described(sample) or {}).get("item_id")
    return known if is_id(known) else _number_or_name(sample.key)


def _number_or_name(key: str) -> ItemId:
    return int(key) if re.fullmatch("0|[1-9][0-9]{0,17}", key) else key


def _described(sample: _Sample) -> dict[str, object] | None:
    try:
        found = json.loads(sample.texts.get("json", b"{}"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _captions(sample: _Sample) -> Iterator[Caption | Failure]:
    described, problem = _described(sample), sample.problem
    if problem or described is None:
        yield Failure(sample.number, sample.key, problem or "caption is not a JSON object")
        return
    texts = described.get("captions") or described.get("caption") or described.get("text")
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        try:
            texts = [sample.texts["txt"].decode().strip()] if "txt" in sample.texts else []
        except UnicodeDecodeError:
            yield Failure(sample.number, sample.key, "caption is not UTF-8")
            return
    ids = described.get("caption_ids")
    known = ids if isinstance(ids, list) and len(ids) == len(texts) else [None] * len(texts)
    item_id = _item_id(sample) if sample.image else None
    for place, (text, text_id) in enumerate(zip(texts, known, strict=True)):
        named = text_id if is_id(text_id) else f"{_item_id(sample)}#{place}"
        yield Caption(sample.number, text, item_id, named)
