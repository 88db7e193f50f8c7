"""TaiSu: tars of images, and a text `ID*****web caption*****generated caption`.

The form is documented at https://github.com/ksOAn6g5/TaiSu. It does not say how the members of the
tars `baidu_images*.tar` are called; they are taken to be ids with the ending of an image.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.data.base import DatasetQuery, DatasetReader, ItemPool, SkippedFiles
from tusou.data.captions import Caption, caption_queries
from tusou.data.csv_reader import read_text_lines
from tusou.data.formats.tar_samples import TarSample, read_samples
from tusou.data.formats.webdataset import TarImages
from tusou.data.listed_images import list_folder

_SEPARATOR = "*****"
_LINE = re.compile(rb"[^*\s]+\*{5}.*\*{5}.")
_HEAD_BYTES = 2**16
_TARS = re.compile(r"baidu_images\w*\.(tar|tgz)")
_EMPTY = {"", "None"}


class TaiSu(DatasetReader):
    """The images of the tars in a folder, and their captions; an image's id is its file's name.

    The text holds the captions of all tars of the dataset: those of other images are left out. A
    caption's id is the image's with `#web` or `#generated`.
    """

    def __init__(self, captions: Path, tars: Sequence[Path]) -> None:
        self._captions, self._tars = captions, tars

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open a folder that holds tars of TaiSu and its captions, or a tar or a text there.

        Raises BadDataset for several texts of captions, and for tars that are packed.
        """
        root = path.parent if path.is_file() else path
        files = list_folder(root, (".tar", ".tgz", ".txt"))[1]
        tars = [file for file in files if _TARS.fullmatch(file.name)]
        if not tars:
            return None
        if path in tars:
            tars = [path]
        texts = [path] if path.is_file() and path not in tars else files
        captions = [file for file in texts if _holds_captions(file)]
        if not captions:
            return None
        if len(captions) > 1:
            names = ", ".join(str(file) for file in captions)
            raise BadDataset(f"{root} holds several texts of captions; give one: {names}")
        if packed := next((file for file in tars if file.suffix == ".tgz"), None):
            raise BadDataset(f"{packed} is packed; images are read in place: pigz -d {packed.name}")
        return cls(captions[0], tars)

    def images(self, split: str) -> ItemPool:  # noqa: ARG002
        return TarImages(self._tars, name_sample=_id_of)

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:  # noqa: ARG002
        """Yield the captions, collected from the web or generated, of the images in the tars."""
        return caption_queries(self._read_captions())

    def describe(self) -> str:
        """Describe the files: how many images the tars hold, and how many have captions."""
        captions = [row for row in self._read_captions() if isinstance(row, Caption)]
        named = len({caption.item_id for caption in captions})
        return (
            f"{self._captions.name}: {len(captions):,} captions of {named:,} of the "
            f"{len(self._ids):,} images in {len(self._tars)} tars"
        )

    def _read_captions(self) -> Iterator[Caption | Failure]:
        """Yield the captions of the images; BadDataset if no line is of one of them."""
        others: list[str] = []
        named = False
        for line in read_text_lines(self._captions):
            if isinstance(line, Failure):
                yield line
                continue
            number, content = line
            image_id, first, rest = content.strip().partition(_SEPARATOR)
            web, second, generated = rest.rpartition(_SEPARATOR)
            if not (image_id and first and second):
                yield Failure(number, None, "expected ID*****CAPTION*****CAPTION")
            elif image_id not in self._ids:
                others = others or [image_id]
            else:
                named = True
                for kind, text in (("web", web), ("generated", generated)):
                    if text.strip() not in _EMPTY:
                        yield Caption(number, text.strip(), image_id, f"{image_id}#{kind}")
        if others and not named:
            raise BadDataset(
                f"{self._captions} has no caption of an image in the tars: its ids are such as "
                f"{others[0]}, those of the images such as {min(self._ids, default='(no image)')}"
            )

    @cached_property
    def _ids(self) -> frozenset[str]:
        samples = read_samples(self._tars, SkippedFiles())
        return frozenset(
            _id_of(sample) for sample in samples if isinstance(sample, TarSample) and sample.images
        )


def _id_of(sample: TarSample) -> str:
    """Return the name of a sample's image without its folder and its ending."""
    return sample.key.rpartition("/")[2]


def _holds_captions(path: Path) -> bool:
    if path.suffix != ".txt":
        return False
    with path.open("rb") as file:
        return _LINE.match(file.read(_HEAD_BYTES)) is not None
