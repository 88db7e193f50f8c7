"""Writes toy splits as the MUGE files: images in base64 TSV, queries and captions as JSON."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Self

from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import OutputExists
from tusou.core.process_limits import exit_with_parent
from tusou_lab.toy.captions import captions_of, write_captions
from tusou_lab.toy.catalogue import Product
from tusou_lab.toy.products import draw_facts, item_id
from tusou_lab.toy.queries import write_queries
from tusou_lab.toy.scene import draw_product

_CHUNK = 50  # images a worker draws between two messages


@dataclass(frozen=True, slots=True)
class SplitSize:
    """How many images and queries a split gets."""

    split: str
    items: int
    queries: int


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What was written for a split."""

    split: str
    items: int
    queries: int
    answers: int
    captions: int


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """The files of a split."""

    images: Path
    queries: Path
    captions: Path  # texts that are items themselves
    correct: Path  # per image, the captions that are true of it

    @classmethod
    def of(cls, folder: Path, split: str) -> Self:
        """Name them."""
        names = "imgs.tsv", "queries.jsonl", "captions.jsonl", "captions.tr.jsonl"
        return cls(*(folder / f"MR_{split}_{name}" for name in names))

    def present(self) -> list[Path]:
        """List those that are there."""
        every = self.images, self.queries, self.captions, self.correct
        return [path for path in every if path.exists()]


def write_toy(
    folder: Path,
    sizes: Sequence[SplitSize],
    seed: int,
    workers: int = 1,
    *,
    force: bool = False,
    watcher: Progress | None = None,
) -> list[SplitReport]:
    """Draw the splits into a folder.

    The bytes depend on the seed and the sizes alone, not on the number of workers.
    Raises OutputExists when a file exists and `force` is not set.
    """
    present = [path for size in sizes for path in SplitFiles.of(folder, size.split).present()]
    if present and not force:
        raise OutputExists(f"{present[0]} exists: choose another folder or pass --force")
    folder.mkdir(parents=True, exist_ok=True)
    with _mapper(workers) as run:
        return [_write_split(folder, size, seed, run, watcher or NoProgress()) for size in sizes]


_Mapper = Callable[[Callable[[int], str], range], Iterator[str]]


@contextmanager
def _mapper(workers: int) -> Iterator[_Mapper]:
    if workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), exit_with_parent) as pool:
        yield partial(pool.map, chunksize=_CHUNK)


def _write_split(
    folder: Path, size: SplitSize, seed: int, run: _Mapper, watcher: Progress
) -> SplitReport:
    files = SplitFiles.of(folder, size.split)
    watcher.begin(f"drawing {size.split}", size.items)
    with _replacing(files.images) as part, part.open("w", encoding="ascii", newline="\n") as file:
        for row in run(partial(_image_row, seed, size.split), range(size.items)):
            file.write(row)
            watcher.advance()
    products = [draw_facts(seed, size.split, index)[0] for index in range(size.items)]
    asked = write_queries(products, size.split, size.queries, seed)
    first = item_id(size.split, 0)
    rows = [
        {
            "query_id": first + number,
            "query_text": query.text,
            "item_ids": [first + index for index in query.answers],
        }
        for number, query in enumerate(asked)
    ]
    _write_rows(files.queries, rows)
    captions = _write_captions(files, products, size.split, seed)
    answers = sum(len(query.answers) for query in asked)
    return SplitReport(size.split, size.items, len(asked), answers, captions)


def _write_captions(files: SplitFiles, products: Sequence[Product], split: str, seed: int) -> int:
    captions, first = write_captions(products, split, seed), item_id(split, 0)
    rows = [
        {
            "text_id": first + number,
            "text": caption.text,
            "image_ids": [first + image for image in caption.images],
        }
        for number, caption in enumerate(captions)
    ]
    _write_rows(files.captions, rows)
    true = captions_of(captions, len(products))
    _write_rows(
        files.correct,
        [
            {"image_id": first + image, "text_ids": [first + number for number in numbers]}
            for image, numbers in enumerate(true)
            if numbers
        ],
    )
    return len(captions)


def _write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    with _replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _image_row(seed: int, split: str, index: int) -> str:
    product, rng = draw_facts(seed, split, index)
    return f"{item_id(split, index)}\t{b64encode(draw_product(product, rng)).decode()}\n"


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Offer a side file that takes the path's place when it is whole."""
    part = path.with_name(path.name + ".part")
    yield part
    part.replace(path)
