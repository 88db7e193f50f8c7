"""Teddy Cup 2024, problem B: both tasks, from their tables to the two files that are handed in."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shutil import copytree

from tusou_lab.run_commands import CommandRunner
from tusou_lab.walkthrough.exercise import ExerciseSpec

_DEPTH = "5"


def walk(
    folder: Path, spec: ExerciseSpec, steps: CommandRunner
) -> tuple[dict[str, dict[str, float]], tuple[Path, ...]]:
    """Answer the words of attachment 2 with images, the images of attachment 3 with words."""
    words, images = folder / "attachment2", folder / "attachment3"
    _draw(folder, spec, steps)

    first = folder / "result1.csv"
    pool = f"{words}#t2i"
    steps.run("index", pool, "--out", str(folder / "images"), "--model", "demo")
    _submit(folder / "images", pool, first, steps)

    second, texts = folder / "result2.csv", folder / "texts"
    asked = f"{images}#i2t"
    steps.run("convert", asked, str(texts), "--to", "muge")
    items = str(texts / "MR_i2t_queries.jsonl")
    steps.run("index", items, "--out", str(folder / "words"), "--model", "demo")
    _submit(folder / "words", asked, second, steps)

    metrics = {
        "text_to_image": _score(first, folder / "sealed1.jsonl", steps),
        "image_to_text": _score(second, folder / "sealed2.jsonl", steps),
    }
    return metrics, (first, second)


def _submit(bundle: Path, asked: str, result: Path, steps: CommandRunner) -> None:
    """Write a task's table, and have it checked as its contest would."""
    given = ["--answers", asked, "--top-k", _DEPTH, "--check"]
    steps.run("evaluate", str(bundle), *given, "--save", str(result))
    steps.run("evaluate", str(result), *given, "--pool", str(bundle))


def _score(result: Path, sealed: Path, steps: CommandRunner) -> dict[str, float]:
    given = ["--answers", str(sealed), "--top-k", _DEPTH, "--json"]
    found: dict[str, dict[str, float]] = json.loads(
        steps.run("evaluate", str(result), *given, quiet=True)
    )
    return found["percent"]


def _draw(folder: Path, spec: ExerciseSpec, steps: CommandRunner) -> None:
    """Draw both attachments in place of a download, and seal their answers."""
    drawn, bare = folder / "drawn", folder / "bare"
    steps.run("toy", str(drawn), *spec.arguments, "--splits", "test")
    queries = _rows(drawn / "MR_test_queries.jsonl")
    bare.mkdir()
    (drawn / "MR_test_imgs.tsv").rename(bare / "MR_test_imgs.tsv")
    unanswered = ({"query_id": q["query_id"], "query_text": q["query_text"]} for q in queries)
    _write_rows(bare / "MR_test_queries.jsonl", unanswered)

    words, images = folder / "attachment2", folder / "attachment3"
    steps.run("convert", str(bare), str(words), "--to", "teddy")
    copytree(words / "ImageData", images / "ImageData")
    names = {path.stem: path.name for path in (images / "ImageData").iterdir()}
    captions = _rows(drawn / "MR_test_captions.jsonl")
    true = _rows(drawn / "MR_test_captions.tr.jsonl")[: spec.queries]
    texts = ((_word(one["text_id"]), one["text"]) for one in captions)
    _table(images / "word_data.csv", ("text_id", "caption"), texts)
    asking = ((names[str(one["image_id"])],) for one in true)
    _table(images / "image_test.csv", ("image_id",), asking)

    sealed1 = (
        {
            "query_id": str(one["query_id"]),
            "query_text": one["query_text"],
            "item_ids": [names[str(item)] for item in one["item_ids"]],
        }
        for one in queries
    )
    _write_rows(folder / "sealed1.jsonl", sealed1)
    sealed2 = (
        {"image_id": names[str(one["image_id"])], "text_ids": [*map(_word, one["text_ids"])]}
        for one in true
    )
    _write_rows(folder / "sealed2.jsonl", sealed2)


def _word(text_id: object) -> str:
    return f"Word-{text_id}"  # as the contest calls its texts


def _rows(path: Path) -> list[dict[str, list[object]]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


def _table(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(head)
        table.writerows(rows)
