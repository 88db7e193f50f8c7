"""COCO-CN: Chinese captions of images of COCO 2014, written or translated by people.

The form is that of the archive `coco-cn-version1805v1.1.tar.gz`, documented by the script
`verify_data.py` in it and at https://github.com/li-xirong/coco-cn. Its images come from COCO.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tusou.core.errors import BadDataset
from tusou.data.base import ONLY_SPLIT
from tusou.data.formats.captioned_splits import CaptionedSplit, CaptionedSplits, ImageLocation
from tusou.data.listed_images import list_folder, list_folders

# In order of preference; version 1805 left out `human-written-`.
_WRITTEN = ("imageid.human-written-caption.txt", "imageid.caption.txt")
_CAPTIONS = re.compile(
    r"imageid\.([a-z]+-[a-z]+-)?caption(?P<segmented>\.bosonseg)?\.txt|coco-cn_ext\.\w+\.txt"
)
_LIST = re.compile(r"coco-cn_(?P<split>train|val|test)\.txt")
_ID = re.compile(r"COCO_(?P<folder>(train|val)2014)_\d+")
_COCO_FOLDERS = ("train2014", "val2014")


class CocoCn(CaptionedSplits):
    """The captions that people wrote, or the file of captions that is given; ids are COCO's names.

    Lists of ids divide the images. They are in COCO's folders, or in one folder.
    """

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open a folder that holds the captions, directly or in the folder of the archive."""
        if path.is_file():
            captions = path if _CAPTIONS.fullmatch(path.name) else None
        else:
            folders = [
                path,
                *(each for each in list_folders(path) if each.name.startswith("coco-cn")),
            ]
            captions = _choose_captions(folders)
        if captions is None:
            return None
        match, root = _CAPTIONS.fullmatch(captions.name), captions.parent
        segmented = match is not None and match["segmented"] is not None
        lists = {
            each["split"]: file
            for file in list_folder(root, (".txt",))[1]
            if (each := _LIST.fullmatch(file.name)) and not captions.name.startswith("coco-cn_ext")
        }
        splits = {
            split: CaptionedSplit(captions, file, segmented) for split, file in lists.items()
        } or {ONLY_SPLIT: CaptionedSplit(captions, None, segmented)}
        return cls(splits, _find_images(root), f"{root / 'train2014'} and {root / 'val2014'}")


def _choose_captions(folders: Sequence[Path]) -> Path | None:
    """Return the captions in the first folder, or else in one other; BadDataset for several."""
    files = [file for folder in folders if (file := _find_written(folder)) is not None]
    if len(files) > 1 and files[0].parent != folders[0]:
        names = ", ".join(str(file.parent) for file in files)
        raise BadDataset(f"{folders[0]} holds several versions of COCO-CN; give one: {names}")
    return files[0] if files else None


def _find_written(folder: Path) -> Path | None:
    return next((file for name in _WRITTEN if (file := folder / name).is_file()), None)


def _find_images(root: Path) -> ImageLocation | None:
    """Return where the images are: COCO's two folders, or `images`, here or one level above."""
    for folder in (root, root / "images", root.parent, root.parent / "images"):
        if any((folder / name).is_dir() for name in _COCO_FOLDERS):
            return ImageLocation(folder, _name_in_coco)
    for folder in (root / "images", root.parent / "images"):
        if folder.is_dir():
            return ImageLocation(folder, "{}.jpg".format)
    return None


def _name_in_coco(image_id: str) -> str:
    match = _ID.fullmatch(image_id)
    return f"{match['folder']}/{image_id}.jpg" if match else f"{image_id}.jpg"
