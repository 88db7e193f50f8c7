"""JSON files of captions, in the shapes in which Flickr8k and similar datasets circulate."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure, ItemId, is_id
from tusou.data.captions import Caption
from tusou.data.text_file import read_text_bytes

# Fields for the same thing, in order of preference.
_NAMES = ("image", "image_id", "file_name", "filename", "image_name", "img")
_TEXTS = ("captions", "caption", "sentences", "texts", "text", "raw")

_NO_ENTRY = 'not an object with "image" and "captions"'
_NO_TEXTS = '"captions" is not a list of texts'


@dataclass(frozen=True, slots=True)
class CaptionedImage:
    """An image that a file names, with its captions."""

    line: int  # number of its entry in the file
    name: str
    texts: tuple[str, ...]
    text_ids: tuple[ItemId | None, ...]
    item_id: ItemId | None = None  # None: its name
    split: str | None = None  # where the file divides its images

    def captions(self) -> Iterator[Caption]:
        for text, text_id in zip(self.texts, self.text_ids, strict=True):
            yield Caption(self.line, text, self.name, text_id)


@dataclass(frozen=True, slots=True)
class CaptionJson:
    """The entries of a file, and its shape in words."""

    shape: str
    entries: tuple[CaptionedImage | Failure, ...]

    @property
    def images(self) -> Iterator[CaptionedImage]:
        return (entry for entry in self.entries if isinstance(entry, CaptionedImage))

    @property
    def splits(self) -> dict[str, list[CaptionedImage]]:
        """The images of each split; empty unless the file assigns all its images to splits."""
        splits: dict[str, list[CaptionedImage]] = {}
        for image in self.images:
            if image.split is None:
                return {}
            splits.setdefault(image.split, []).append(image)
        return splits


def read_caption_json(path: Path) -> CaptionJson:
    """Read a file of captions; raise BadDataset if it is not JSON, or has none of the shapes.

    The shapes are a list of images, each with its captions or with one of them; an object whose
    keys are the images; Karpathy's `{"images": [...]}`; COCO's with `images` and `annotations`.
    """
    content = _load(path)
    if isinstance(content, list):
        single = any(isinstance(row, dict) and "caption" in row for row in content)
        shape = "a list of images, each with " + ("a caption" if single else "its captions")
        return CaptionJson(shape, tuple(_read_rows(content)))
    if isinstance(content, dict) and isinstance(images := content.get("images"), list):
        if isinstance(annotations := content.get("annotations"), list):
            entries = _read_annotations(images, annotations)
            return CaptionJson("COCO's lists of images and annotations", tuple(entries))
        return CaptionJson("Karpathy's list of images with sentences", tuple(_read_rows(images)))
    if isinstance(content, dict) and content:
        rows = [{"image": name, "captions": texts} for name, texts in content.items()]
        return CaptionJson("an object of images, each with its captions", tuple(_read_rows(rows)))
    raise BadDataset(
        f'{path}: not a list of {{"image", "captions"}}, and no object of images and their captions'
    )


def _load(path: Path) -> object:
    try:
        content: object = json.loads(read_text_bytes(path).decode())
    except UnicodeDecodeError as error:
        raise BadDataset(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadDataset(f"{path}:{error.lineno}: not JSON ({error.msg})") from None
    except RecursionError:
        raise BadDataset(f"{path}: not JSON (nested too deeply)") from None
    return content


def _read_rows(rows: Sequence[object]) -> Iterator[CaptionedImage | Failure]:
    for number, row in enumerate(rows, start=1):
        name = _first_text(row, _NAMES)
        if not isinstance(row, dict) or name is None:
            yield Failure(number, None, _NO_ENTRY)
            continue
        texts, ids = _texts(_first(row, _TEXTS)), row.get("caption_ids")
        if texts is None:
            yield Failure(number, name, _NO_TEXTS)
            continue
        given = ids if isinstance(ids, list) and len(ids) == len(texts) else [None] * len(texts)
        text_ids = tuple(text_id if is_id(text_id) else None for text_id in given)
        item_id, split = row.get("item_id"), row.get("split")
        yield CaptionedImage(
            number,
            name,
            texts,
            text_ids,
            item_id if is_id(item_id) else None,
            split if isinstance(split, str) and split else None,
        )


def _read_annotations(
    images: Sequence[object], annotations: Sequence[object]
) -> Iterator[CaptionedImage | Failure]:
    """Yield an image for each annotation; the annotation's id is the caption's."""
    names = {
        str(row.get("id")): _first_text(row, _NAMES[2:]) for row in images if isinstance(row, dict)
    }
    for number, row in enumerate(annotations, start=1):
        name = names.get(str(row.get("image_id"))) if isinstance(row, dict) else None
        if not isinstance(row, dict) or name is None:
            yield Failure(number, None, "an annotation without an image of the file")
        elif (texts := _texts(_first(row, _TEXTS))) is None or len(texts) != 1:
            yield Failure(number, name, '"caption" is not a text')
        else:
            text_id = row.get("id")
            yield CaptionedImage(number, name, texts, (text_id if is_id(text_id) else None,))


def _first(row: object, names: Sequence[str]) -> object:
    """Return the first field that a row has; None if it has none, or is not an object."""
    if not isinstance(row, Mapping):
        return None
    return next((row[name] for name in names if name in row), None)


def _first_text(row: object, names: Sequence[str]) -> str | None:
    """Return the first field that is a text: an `image_id` may be a number beside a file name."""
    fields = (row.get(name) for name in names) if isinstance(row, Mapping) else ()
    return next((field for field in fields if isinstance(field, str)), None)


def _texts(value: object) -> tuple[str, ...] | None:
    """Return one text or a list of texts, which may be objects, as a tuple; None for others."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        return None
    texts = [_first(each, ("raw", *_TEXTS)) if isinstance(each, dict) else each for each in value]
    strings = tuple(text for text in texts if isinstance(text, str))
    return strings if len(strings) == len(texts) else None
