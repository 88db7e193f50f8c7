"""Writes toy splits as the MUGE files: pictures in base64 TSV, queries in JSON lines."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from lab.toy.products import draw_facts, item_id
from lab.toy.queries import write_queries
from lab.toy.scene import draw_product
from tusou.errors import OutputExists
from tusou.progress import Nobody, Watcher

_CHUNK = 50  # pictures a worker draws between two messages


@dataclass(frozen=True, slots=True)
class SplitSize:
    """How many pictures and queries a split gets."""

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


def split_files(folder: Path, split: str) -> tuple[Path, Path]:
    """Name the two files of a split: pictures, queries."""
    return folder / f"MR_{split}_imgs.tsv", folder / f"MR_{split}_queries.jsonl"


def write_toy(
    folder: Path,
    sizes: Sequence[SplitSize],
    seed: int,
    workers: int = 1,
    *,
    force: bool = False,
    watcher: Watcher | None = None,
) -> list[SplitReport]:
    """Draw the splits into a folder.

    The bytes depend on the seed and the sizes alone, not on the number of workers.
    Raises OutputExists when a file exists and `force` is not set.
    """
    present = [path for size in sizes for path in split_files(folder, size.split) if path.exists()]
    if present and not force:
        raise OutputExists(f"{present[0]} exists: choose another folder or pass --force")
    folder.mkdir(parents=True, exist_ok=True)
    with _mapper(workers) as run:
        return [_write_split(folder, size, seed, run, watcher or Nobody()) for size in sizes]


_Mapper = Callable[[Callable[[int], str], range], Iterator[str]]


@contextmanager
def _mapper(workers: int) -> Iterator[_Mapper]:
    if workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield partial(pool.map, chunksize=_CHUNK)


def _write_split(
    folder: Path, size: SplitSize, seed: int, run: _Mapper, watcher: Watcher
) -> SplitReport:
    images, queries = split_files(folder, size.split)
    watcher.begin(f"drawing {size.split}", size.items)
    with _replacing(images) as part, part.open("w", encoding="ascii", newline="\n") as file:
        for row in run(partial(_image_row, seed, size.split), range(size.items)):
            file.write(row)
            watcher.advance()
    products = [draw_facts(seed, size.split, index)[0] for index in range(size.items)]
    asked = write_queries(products, size.split, size.queries, seed)
    first = item_id(size.split, 0)
    with _replacing(queries) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        for number, query in enumerate(asked):
            asked_row = {
                "query_id": first + number,
                "query_text": query.text,
                "item_ids": [item_id(size.split, index) for index in query.answers],
            }
            file.write(json.dumps(asked_row, ensure_ascii=False) + "\n")
    return SplitReport(size.split, size.items, len(asked), sum(len(q.answers) for q in asked))


def _image_row(seed: int, split: str, index: int) -> str:
    product, rng = draw_facts(seed, split, index)
    return f"{item_id(split, index)}\t{b64encode(draw_product(product, rng)).decode()}\n"


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Offer a side file that takes the path's place when it is whole."""
    part = path.with_name(path.name + ".part")
    yield part
    part.replace(path)
