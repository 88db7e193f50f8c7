"""Noah-Wukong: the tables of its test split, and of its training split, which has no images.

`wukong_test.csv` has the columns `dir`, the file name of an image, and `text`, beside others;
`wukong_100m_0.csv` to `wukong_100m_255.csv` have `url` and `caption`. They are described at
https://wukong-dataset.github.io/wukong-dataset/download.html and read in this form by
https://github.com/mindspore-ai/models (research/mm/wukong) and the guides to the test split.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.data.base import DatasetQuery, DatasetReader, ItemPool, MissingPart
from tusou.data.captions import Caption, caption_queries
from tusou.data.csv_reader import TableRow, read_records, read_table
from tusou.data.formats.image_folders import find_image_folder
from tusou.data.listed_images import ListedImage, ListedImages, list_folder, list_image

TEST_TABLE = "wukong_test.csv"
_TRAINING_TABLE = re.compile(r"wukong_100m_(?P<number>\d+)\.csv")
_IMAGE_FOLDERS = {"wukong_test_images", "wukong_test", "images"}
_IMAGE, _TEXTS, _CAPTION = "dir", ("text", "caption"), "caption"


class Wukong(DatasetReader):
    """The split `test`, whose ids are the names in its table, and the split `train` of texts.

    The images of `test` are in `wukong_test_images`, `wukong_test` or `images`, beside the table
    or one level above, or else in the folder of the table.
    """

    def __init__(self, test: Path | None, training: Sequence[Path]) -> None:
        self._test, self._training = test, training

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open a folder that holds any of the tables, or one of the tables."""
        files = [path] if path.is_file() else list_folder(path, (".csv",))[1]
        test = next((file for file in files if file.name == TEST_TABLE), None)
        numbers = {
            file: int(match["number"])
            for file in files
            if (match := _TRAINING_TABLE.fullmatch(file.name))
        }
        training = sorted(numbers, key=numbers.__getitem__)
        return cls(test, training) if test or training else None

    def splits(self) -> Sequence[str]:
        return [*(["train"] if self._training else []), *(["test"] if self._test else [])]

    def images(self, split: str) -> ItemPool:
        """Return the images of `test`; MissingPart for `train`, which has addresses alone."""
        if split == "train" or self._test is None:
            raise MissingPart(
                f"{self._training[0].parent}: the training tables of Wukong hold addresses, no "
                "images; download them with img2dataset, whose tars are read as WebDataset"
            )
        root = self._test.parent
        folder = find_image_folder((root, root.parent), _IMAGE_FOLDERS) or root
        return ListedImages(folder, self._list_images(self._test))

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        """Yield the texts; those of `train` have no correct items, and table and line as id."""
        if split == "train" or self._test is None:
            return self._read_training()
        return caption_queries(_read_test(self._test))

    def _list_images(self, table: Path) -> Iterator[ListedImage | Failure]:
        seen: set[str] = set()  # an image may have several texts
        for caption in _read_test(table):
            if isinstance(caption, Failure):
                yield caption
            elif (name := str(caption.item_id)) not in seen:
                seen.add(name)
                yield list_image(caption.line, name)

    def _read_training(self) -> Iterator[DatasetQuery | Failure]:
        for table in self._training:
            for row in read_table(table, (_CAPTION,)):
                if isinstance(row, Failure):
                    yield Failure(row.line, row.item_id, row.reason, table.name)
                else:
                    query_id = f"{table.stem}#{row.line}"
                    yield DatasetQuery(row.line, query_id, row.cells[_CAPTION], None)


def _read_test(table: Path) -> Iterator[Caption | Failure]:
    text = _find_text_column(table)
    for row in read_table(table, (_IMAGE, text)):
        if not isinstance(row, TableRow):
            yield row
        elif name := row.cells[_IMAGE].strip():
            yield Caption(row.line, row.cells[text], name)
        else:
            yield Failure(row.line, None, "empty id")


def _find_text_column(table: Path) -> str:
    header = next((row[1] for row in read_records(table) if isinstance(row, tuple)), [])
    names = [cell.strip().lower() for cell in header]
    column = next((name for name in _TEXTS if name in names), None)
    if column is None or _IMAGE not in names:
        raise BadDataset(
            f"{table}:1: the first line must name the columns dir and text (or caption); it holds "
            f"{','.join(names)[:200]}"
        )
    return column
