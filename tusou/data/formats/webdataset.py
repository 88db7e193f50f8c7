"""WebDataset tars: members with the same key are an image and its captions, read in place."""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Self

from tusou.core.errors import BadImage
from tusou.core.ids import Failure, ItemId, is_canonical_integer, is_id
from tusou.data.base import (
    ONLY_SPLIT,
    DatasetQuery,
    DatasetReader,
    ItemPool,
    ItemRow,
    SkippedFiles,
    parse_item_id,
    sort_splits,
)
from tusou.data.captions import Caption, caption_queries
from tusou.data.formats.tar_samples import TarSample, read_samples
from tusou.images.formats import check_image_size

_NUMBER = re.compile(r"[-_.]?\d+$")


class WebDataset(DatasetReader):
    """Numbered tars in a folder, or one tar; the key is the id unless the sample's JSON has one."""

    def __init__(self, tars: dict[str, list[Path]]) -> None:
        self._tars = tars

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open a tar or a folder of tars; names that differ only in their number are one split."""
        files = sorted(path.glob("*.tar")) if path.is_dir() else [path]
        tars: dict[str, list[Path]] = {}
        for file in files:
            if file.suffix == ".tar" and file.is_file():
                tars.setdefault(_NUMBER.sub("", file.stem) or ONLY_SPLIT, []).append(file)
        return cls(tars) if tars else None

    def splits(self) -> Sequence[str]:
        return sort_splits(self._tars)

    def images(self, split: str) -> ItemPool:
        return TarImages(self._tars[split])

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        return caption_queries(self._captions(split))

    def _captions(self, split: str) -> Iterator[Caption | Failure]:
        for sample in read_samples(self._tars[split], SkippedFiles()):
            yield from [sample] if isinstance(sample, Failure) else _parse_captions(sample)


class TarImages(ItemPool):
    """A pool of the images in tars, read in place; `sha256` covers the digests of the tars."""

    def __init__(
        self, tars: Sequence[Path], name_sample: Callable[[TarSample], ItemId] | None = None
    ) -> None:
        """`name_sample` returns the id of a sample; by default its key, or that of its JSON."""
        super().__init__(tars)
        self._name_sample = name_sample or _item_id

    def scan(self) -> Iterator[ItemRow | Failure]:
        """Yield an item or a Failure for every sample with an image, in order."""
        for path in self.files:
            with path.open("rb") as file:
                digest = hashlib.sha256()
                while chunk := file.read(2**20):
                    digest.update(chunk)
                    self.size += len(chunk)
                self._hash.update(digest.digest())
        for sample in read_samples(self.files, self.skipped):
            if isinstance(sample, Failure):
                yield sample
                continue
            images, tar = sample.choose_images(), self.files[sample.tar].name
            item_ids = _item_ids(sample, self._name_sample(sample))
            for ending, item_id in zip(images, item_ids, strict=True):
                yield _make_row(sample, item_id, tar, *images[ending])
            self._skip_others(sample, images)

    def _skip_others(self, sample: TarSample, images: Collection[str]) -> None:
        """Count the members of a sample that are neither an item nor its captions."""
        for ending in sample.others:
            name = f"{sample.key}.{ending}" if ending else sample.key
            kind = f"ending in .{ending}" if ending else "without an ending"
            self.skipped.add(f"members {kind}", name)
        for ending in sample.images.keys() - images:
            reason = f"further images, ending in .{ending}"
            self.skipped.add(reason, f"{sample.key}.{ending}")
        if not images and sample.texts:
            self.skipped.add(
                "captions without an image", f"{sample.key}.{next(iter(sample.texts))}"
            )


def _make_row(
    sample: TarSample, item_id: ItemId, tar: str, offset: int, length: int
) -> ItemRow | Failure:
    parsed_id = None
    try:
        parsed_id = parse_item_id(str(item_id).encode(errors="surrogateescape"))
        check_image_size(length)
    except (ValueError, BadImage) as error:
        return Failure(sample.number, parsed_id, str(error), tar)
    return ItemRow(sample.number, parsed_id, sample.tar, offset, length)


def _item_ids(sample: TarSample, item_id: ItemId) -> list[ItemId]:
    """Return the ids of a sample's images; they keep the endings if there are several."""
    endings = list(sample.choose_images())
    return [item_id] if len(endings) == 1 else [f"{item_id}.{ending}" for ending in endings]


def _item_id(sample: TarSample) -> ItemId:
    item_id = (_read_json(sample) or {}).get("item_id")
    if is_id(item_id):
        return item_id
    return int(sample.key) if is_canonical_integer(sample.key) else sample.key


def _read_json(sample: TarSample) -> dict[str, object] | None:
    """Return the sample's JSON; not parsed strictly, since other tools write NaN into it."""
    try:
        value = json.loads(sample.texts.get("json", b"{}"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _parse_captions(sample: TarSample) -> Iterator[Caption | Failure]:
    fields, problem = _read_json(sample), sample.problem
    if problem or fields is None:
        yield Failure(sample.number, sample.key, problem or "caption is not a JSON object")
        return
    texts = fields.get("captions") or fields.get("caption") or fields.get("text")
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        try:
            texts = [sample.texts["txt"].decode().strip()] if "txt" in sample.texts else []
        except UnicodeDecodeError:
            yield Failure(sample.number, sample.key, "caption is not UTF-8")
            return
    ids = fields.get("caption_ids")
    text_ids = ids if isinstance(ids, list) and len(ids) == len(texts) else [None] * len(texts)
    for number, (text, text_id) in enumerate(zip(texts, text_ids, strict=True)):
        caption_id = text_id if is_id(text_id) else f"{_item_id(sample)}#{number}"
        item_ids: list[ItemId | None] = [*_item_ids(sample, _item_id(sample))]
        for item_id in item_ids or [None]:
            yield Caption(sample.number, text, item_id, caption_id)
