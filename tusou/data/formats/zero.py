"""Zero, 360's benchmark: pairs of texts and images to match (ICM, IQM) or to find (ICR, IQR).

A task is a folder with the files `train/long_itm_train.json`, `val/long_itm_val.json` and so on:
JSON lines of `text`, `image_path` and, where texts and images are to be matched, `label`. `long`
texts are captions, `short` ones queries. Images of all tasks are in one folder. Documented at
https://zero.so.com/detail.html and by the loaders of https://github.com/yuxie11/R2D2.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Self

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.data.base import DatasetQuery, DatasetReader, ItemPool, MissingPart, sort_splits
from tusou.data.captions import Caption, caption_queries
from tusou.data.formats.image_folders import find_image_folder
from tusou.data.labelled_pairs import LabelledPair, parse_label, parse_rows
from tusou.data.listed_images import ListedImage, ListedImages, list_files, list_image

_FILE = re.compile(r"(?P<task>(long|short)_(itm|itr))_(?P<split>train|val|test)\.json")
_LABELLED = "itm"
IMAGES = "IQR_IQM_ICR_ICM_images"
_SPLIT_FOLDERS = ("train", "val", "test")
_IMAGE_FOLDERS = {IMAGES.lower(), "images"}
# By the name of the files: captions or queries, to be matched or found.
_TASKS = {"long_itm": "ICM", "short_itm": "IQM", "long_itr": "ICR", "short_itr": "IQR"}


class Zero(DatasetReader):
    """One task; an image's id is the name of its file without the ending, as in R2D2.

    The queries of a task with labels are the texts of its matching pairs.
    """

    def __init__(self, task: str, files: Mapping[str, Path]) -> None:
        self._task, self._files = task, files
        self._labelled = task.endswith(_LABELLED)

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open the folder of a task, a folder that holds one, or a file.

        Raises BadDataset for a folder that holds several tasks.
        """
        tasks: dict[str, dict[str, Path]] = {}
        for file in [path] if path.is_file() else list_files(_folders(path), (".json",)):
            if match := _FILE.fullmatch(file.name):
                first = tasks.setdefault(match["task"], {}).setdefault(match["split"], file)
                if first != file:
                    raise BadDataset(f"{first} and {file} are the same split; give one of them")
        if len(tasks) > 1:
            names = ", ".join(_TASKS[task] for task in sorted(tasks))
            firsts = ", ".join(str(next(iter(files.values()))) for files in tasks.values())
            raise BadDataset(
                f"{path} holds several tasks of Zero ({names}); give the folder of one, or a file: "
                f"{firsts}"
            )
        return next((cls(task, files) for task, files in tasks.items()), None)

    def splits(self) -> Sequence[str]:
        return sort_splits(self._files)

    def describe(self) -> str:
        kind = "labelled pairs" if self._labelled else "pairs"
        return f"Zero's task {_TASKS[self._task]}: {kind} of texts and images"

    def images(self, split: str) -> ItemPool:
        """Return the images of all pairs of a split; MissingPart without the folder of images."""
        file = self._files[split]
        roots = [_task_folder(file), _task_folder(file).parent]
        folder = find_image_folder([file.parent, *roots], _IMAGE_FOLDERS)
        if folder is None:
            raise MissingPart(f"{file}: its images are missing; put them in {roots[1] / IMAGES}")
        return ListedImages(folder, self._list_images(split))

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        return caption_queries(
            Caption(row.line, row.text, row.item_id) if isinstance(row, LabelledPair) else row
            for row in self._read(split)
            if isinstance(row, Failure) or row.matches
        )

    def scan_pairs(self, split: str) -> Iterator[LabelledPair | Failure] | None:
        """Yield the pairs of a split with their labels; None for a task without labels."""
        return self._read(split) if self._labelled else None

    def _list_images(self, split: str) -> Iterator[ListedImage | Failure]:
        seen: set[str] = set()
        for row in parse_rows(self._files[split], _parse_name):
            if isinstance(row, tuple) and row[1] not in seen:
                seen.add(row[1])
                yield list_image(*row, PurePosixPath(row[1]).stem)

    def _read(self, split: str) -> Iterator[LabelledPair | Failure]:
        return parse_rows(self._files[split], partial(self._parse, {}))

    def _parse(self, names: dict[str, str], row: dict[str, object], number: int) -> LabelledPair:
        """Return a pair; `names` holds the file name of each id before it, for others to differ."""
        if not isinstance(text := row.get("text"), str):
            raise ValueError("text missing or not a string")
        name = _file_name(row)
        item_id = PurePosixPath(name).stem
        if (first := names.setdefault(item_id, name)) != name:
            raise ValueError(f"{name} and {first} have the same id; rename one of the files")
        matches = parse_label(row.get("label")) if self._labelled else True
        return LabelledPair(number, text, item_id, matches)


def _folders(root: Path) -> Iterator[Path]:
    """Yield the folders where a task's files may be: the root, its tasks and their splits."""
    for folder in (root, *(root / task for task in _TASKS.values())):
        yield folder
        yield from (folder / split for split in _SPLIT_FOLDERS)


def _parse_name(row: dict[str, object], number: int) -> tuple[int, str]:
    return number, _file_name(row)


def _file_name(row: dict[str, object]) -> str:
    """Return the last part of a row's path; its folders are those of the authors."""
    path = row.get("image_path")
    name = PurePosixPath(path).name if isinstance(path, str) else ""
    if name in {"", ".."}:
        raise ValueError("image_path missing or not a path")
    return name


def _task_folder(file: Path) -> Path:
    """Return the folder of a task, in which each split may have a folder of its own."""
    return file.parent.parent if file.parent.name in _SPLIT_FOLDERS else file.parent
