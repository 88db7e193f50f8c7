"""Datasets that give each split a file of captions, and perhaps a list of its images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tusou.core.ids import Failure
from tusou.data.base import DatasetQuery, DatasetReader, ItemPool, MissingPart, sort_splits
from tusou.data.captions import Caption, caption_queries
from tusou.data.formats.caption_lines import read_captions, read_image_ids
from tusou.data.listed_images import ListedImage, ListedImages, list_image


@dataclass(frozen=True, slots=True)
class CaptionedSplit:
    """The files of a split; without a list, its images are those that have captions."""

    captions: Path
    images: Path | None = None
    segmented: bool = False


class ImageLocation(NamedTuple):
    """The folder of all images, and the file name of an image id below it."""

    folder: Path
    name: Callable[[str], str]


class CaptionedSplits(DatasetReader):
    """Captions of the images of each split; an item's id is that of its image in the captions.

    A caption of an image that is not in the list of the split does not belong to it.
    """

    def __init__(
        self, splits: Mapping[str, CaptionedSplit], location: ImageLocation | None, advice: str
    ) -> None:
        """`advice` says where to put the images if there is no location."""
        self._splits, self._location, self._advice = splits, location, advice

    def splits(self) -> Sequence[str]:
        return sort_splits(self._splits)

    def images(self, split: str) -> ItemPool:
        """Return the images of a split; MissingPart where the dataset's images are not found."""
        if self._location is None:
            captions = self._splits[split].captions
            raise MissingPart(f"{captions}: its images are missing; put them in {self._advice}")
        return ListedImages(self._location.folder, self._list_images(split, self._location.name))

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        """Yield the captions of a split's images; every split reports the problems of the file."""
        return caption_queries(self._captions_of(split))

    def _captions_of(self, split: str) -> Iterator[Caption | Failure]:
        files = self._splits[split]
        listed: set[str] | None = None
        if files.images is not None:
            listed = {row[1] for row in read_image_ids(files.images) if isinstance(row, tuple)}
        for caption in read_captions(files.captions, segmented=files.segmented):
            if isinstance(caption, Failure) or listed is None or str(caption.item_id) in listed:
                yield caption

    def _list_images(
        self, split: str, name: Callable[[str], str]
    ) -> Iterator[ListedImage | Failure]:
        for row in self._ids(split):
            if isinstance(row, Failure):
                yield row
            else:
                yield list_image(row[0], name(row[1]), row[1])

    def _ids(self, split: str) -> Iterator[tuple[int, str] | Failure]:
        """Yield line and id of each image of the list, or of each image that has captions."""
        files = self._splits[split]
        if files.images is not None:
            yield from read_image_ids(files.images)
            return
        seen: set[str] = set()
        for caption in read_captions(files.captions):
            if isinstance(caption, Caption) and (image_id := str(caption.item_id)) not in seen:
                seen.add(image_id)
                yield caption.line, image_id
