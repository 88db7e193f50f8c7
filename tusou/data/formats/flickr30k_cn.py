"""Flickr30k with Chinese captions, in the two forms in which they are given out beside its images.

Flickr30k-CN, translated by machines and its test split by people, is a folder for each split with
`TextData/seg.NAME.caption.txt` and `ImageSets/NAME.txt`: the archive `flickr30k-cn.tar.gz` of
https://github.com/weiyuk/fluent-cap, whose `flickr8k-cn.tar.gz` has the same form. Flickr30k-CNA,
translated by people, is a text for each split: https://zero.so.com/detail.html and
https://github.com/yuxie11/R2D2. Flickr30k-CN as cn_clip gives it out is in cn_clip's format.
"""

import re
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import Self

from tusou.core.errors import BadDataset
from tusou.data.formats.captioned_splits import CaptionedSplit, CaptionedSplits, ImageLocation
from tusou.data.formats.image_folders import find_image_folder
from tusou.data.listed_images import list_files, list_folder, list_folders

_FLICKR_FOLDERS = {"flickr30k-images", "flickr30k_images"}
_FLICKR_FOLDERS |= {"flicker8k_dataset", "flickr8k_dataset"}
_IMAGE_FOLDERS = _FLICKR_FOLDERS | {"images", "imagedata"}
_SEGMENTED = re.compile(
    r"(?P<seg>seg\.)?(?P<name>flickr(?P<size>8|30)k(?P<kind>zh[mcbg]?)\w*?(?P<split>train|val|test))"
    r"\.captions?\.txt"
)
_ANNOTATED = re.compile(r"flickr30k_cna?_(?P<split>train|val|test)\.(txt|token)")
# Kinds of captions in order of preference: translated or written by people, then by machines.
_KINDS = ("zhm", "zhc", "zhb", "zhg", "zh")


class Flickr30kCn(CaptionedSplits):
    """A folder for each split with its captions in words, which are joined, and its image ids.

    Of several captions of one split, those by people are read. Ids are Flickr's numbers.
    """

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open the folder of a split, a folder of such folders, or a file of captions.

        Raises BadDataset for a folder of Flickr8k's and Flickr30k's.
        """
        if path.is_file():
            match = _SEGMENTED.fullmatch(path.name)
            files = [path] if match and path.parent.name == "TextData" else []
        else:
            files = [
                file
                for folder in (path, *list_folders(path))
                if (folder / "TextData").is_dir()
                for file in list_folder(folder / "TextData")[1]
            ]
        matches = [(match, file) for file in files if (match := _SEGMENTED.fullmatch(file.name))]
        sizes = {match["size"] for match, _ in matches}
        if len(sizes) > 1:
            raise BadDataset(f"{path} holds Flickr8k-CN and Flickr30k-CN; give a folder of one")
        if sizes == {"8"} and path.is_dir() and next(path.glob("flickr8kzh*.txt"), None):
            return None  # the reader of Flickr8k takes the captions of all splits
        matches.sort(key=lambda each: (_KINDS.index(each[0]["kind"]), each[0]["seg"] is not None))
        splits: dict[str, CaptionedSplit] = {}
        for match, file in matches:
            ids = file.parents[1] / "ImageSets" / f"{match['name']}.txt"
            words = match["seg"] is not None or "boson" in match["name"]
            split = CaptionedSplit(file, ids if ids.is_file() else None, words)
            splits.setdefault(match["split"], split)
        return cls(splits, *_locate(splits.values())) if splits else None


class Flickr30kCna(CaptionedSplits):
    """A text for each split, `ID<TAB>caption`; ids are Flickr's numbers.

    A file of the same name may be a table `image,caption`, as InternVL gives out Flickr30k-CN.
    """

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open a folder of the texts or of the folders `train`, `val` and `test`; or one text."""
        folders = [path, *(path / split for split in ("train", "val", "test"))]
        files = [path] if path.is_file() else list_files(folders, (".txt", ".token"))
        splits: dict[str, CaptionedSplit] = {}
        for file in files:
            if match := _ANNOTATED.fullmatch(file.name):
                splits.setdefault(match["split"], CaptionedSplit(file))
        return cls(splits, *_locate(splits.values())) if splits else None


def _locate(splits: Collection[CaptionedSplit]) -> tuple[ImageLocation | None, str]:
    """Return where the images are, up to three folders above the captions, or should be."""
    above = [folder for split in splits for folder in split.captions.parents[:3]]
    # Further above, an `images` may be that of another dataset.
    highest = [split.captions.parents[3:4] for split in splits]
    folder = find_image_folder(dict.fromkeys(above), _IMAGE_FOLDERS) or find_image_folder(
        dict.fromkeys(chain.from_iterable(highest)), _FLICKR_FOLDERS
    )
    advice = str(above[0] / "flickr30k-images")
    return None if folder is None else ImageLocation(folder, "{}.jpg".format), advice
