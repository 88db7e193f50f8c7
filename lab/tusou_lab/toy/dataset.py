"""Writes toy splits in the MUGE format: images as base64 TSV, texts and attributes as JSON."""

import json
from base64 import b64encode
from collections import defaultdict
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
from tusou.core.files import write_file
from tusou.core.process_limits import exit_with_parent
from tusou_lab.toy.attributes import draw_attributes
from tusou_lab.toy.difficulty import EASY, Difficulty
from tusou_lab.toy.products import draw_scene, item_id
from tusou_lab.toy.queries import ToyText, write_captions, write_queries
from tusou_lab.toy.scene import draw_image

_CHUNK_SIZE = 50  # images per task of a worker


@dataclass(frozen=True, slots=True)
class SplitSize:
    """The number of images and queries of a split."""

    split: str
    items: int
    queries: int


@dataclass(frozen=True, slots=True)
class ToySplitReport:
    """The counts of a written split."""

    split: str
    items: int
    queries: int
    answers: int
    captions: int


@dataclass(frozen=True, slots=True)
class ToySplitFiles:
    """The paths of a split's files."""

    images: Path
    queries: Path
    captions: Path  # texts to search with an image
    correct: Path  # the captions that are true of each image
    attributes: Path  # of each image

    @classmethod
    def of(cls, folder: Path, split: str) -> Self:
        """Return the paths in a folder, under the names of MUGE."""
        names = (
            "imgs.tsv",
            "queries.jsonl",
            "captions.jsonl",
            "captions.tr.jsonl",
            "attributes.jsonl",
        )
        return cls(*(folder / f"MR_{split}_{name}" for name in names))

    def existing(self) -> list[Path]:
        """Return the paths that exist."""
        paths = self.images, self.queries, self.captions, self.correct, self.attributes
        return [path for path in paths if path.exists()]


def write_toy(
    folder: Path,
    sizes: Sequence[SplitSize],
    seed: int,
    workers: int = 1,
    *,
    difficulty: Difficulty = EASY,
    force: bool = False,
    progress: Progress | None = None,
) -> list[ToySplitReport]:
    """Draw the splits into a folder.

    The bytes depend on the seed and the sizes only, not on the number of worker processes.
    Raises OutputExists when a file exists and `force` is not set.
    """
    existing = [path for size in sizes for path in ToySplitFiles.of(folder, size.split).existing()]
    if existing and not force:
        raise OutputExists(f"{existing[0]} exists: choose another folder or pass --force")
    folder.mkdir(parents=True, exist_ok=True)
    with _parallel_map(workers) as run:
        return [
            _write_split(folder, size, seed, difficulty, run, progress or NoProgress())
            for size in sizes
        ]


_MapRows = Callable[[Callable[[int], str], range], Iterator[str]]


@contextmanager
def _parallel_map(workers: int) -> Iterator[_MapRows]:
    if workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), exit_with_parent) as pool:
        yield partial(pool.map, chunksize=_CHUNK_SIZE)


def _write_split(
    folder: Path,
    size: SplitSize,
    seed: int,
    difficulty: Difficulty,
    run: _MapRows,
    progress: Progress,
) -> ToySplitReport:
    files = ToySplitFiles.of(folder, size.split)
    progress.begin(f"drawing {size.split}", size.items)
    temporary = files.images.with_name(f"{files.images.name}.part")
    with temporary.open("w", encoding="ascii", newline="\n") as file:
        for row in run(partial(_image_row, seed, size.split, difficulty), range(size.items)):
            file.write(row)
            progress.advance()
    temporary.replace(files.images)
    scenes = [draw_scene(seed, size.split, index, difficulty)[0] for index in range(size.items)]
    queries = write_queries(scenes, size.split, size.queries, seed, difficulty)
    captions = write_captions(scenes, size.split, seed, difficulty)
    first = item_id(size.split, 0)
    texts_by_image: dict[int, list[int]] = defaultdict(list)
    for text_id, caption in enumerate(captions, first):
        for position in caption.items:
            texts_by_image[first + position].append(text_id)
    _write_rows(files.queries, _text_rows(queries, first, "query_id", "query_text", "item_ids"))
    _write_rows(files.captions, _text_rows(captions, first, "text_id", "text", "image_ids"))
    _write_rows(
        files.correct,
        (
            {"image_id": image, "text_ids": text_ids}
            for image, text_ids in sorted(texts_by_image.items())
        ),
    )
    _write_rows(files.attributes, draw_attributes([scene[0] for scene in scenes], size.split, seed))
    answers = sum(len(query.items) for query in queries)
    return ToySplitReport(size.split, size.items, len(queries), answers, len(captions))


def _text_rows(
    texts: Sequence[ToyText], first: int, *names: str
) -> Iterator[dict[str, int | str | list[int]]]:
    """Yield a row per text with its id, itself and its items, under these names."""
    for text_id, text in enumerate(texts, first):
        items = [first + position for position in text.items]
        yield dict(zip(names, (text_id, text.text, items), strict=True))


def _write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_file(path, text.encode())


def _image_row(seed: int, split: str, difficulty: Difficulty, index: int) -> str:
    scene, rng = draw_scene(seed, split, index, difficulty)
    return f"{item_id(split, index)}\t{b64encode(draw_image(scene, rng, difficulty)).decode()}\n"
