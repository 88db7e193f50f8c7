"""Folders of images beside the annotations of a dataset, found by the names in circulation."""

from collections.abc import Collection, Iterable
from pathlib import Path

from tusou.data.listed_images import list_folders


def find_image_folder(roots: Iterable[Path], names: Collection[str]) -> Path | None:
    """Return the first folder below one of `roots` whose name in lower case is among `names`.

    Some archives nest the folder in another of such a name; then it is the inner one.
    """
    for root in roots:
        for folder in list_folders(root):
            if folder.name.lower() in names:
                inner = (path for path in list_folders(folder) if path.name.lower() in names)
                return next(inner, folder)
    return None
