"""Teddy Cup 2024, problem B: both tasks, from their tables to the two files to hand in."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shutil import copytree

from tusou_lab.run_commands import CommandRunner
from tusou_lab.walkthrough.exercise import ExerciseSpec

_TOP_K = "5"


def run(
    folder: Path, spec: ExerciseSpec, runner: CommandRunner
) -> tuple[dict[str, dict[str, float]], tuple[Path, ...]]:
    """Find images for the texts of attachment 2, and texts for the images of attachment 3."""
    words, images = folder / "attachment2", folder / "attachment3"
    _draw(folder, spec, runner)

    first = folder / "result1.csv"
    text_queries = f"{words}#t2i"
    runner.run("index", text_queries, "--out", str(folder / "images"), "--model", "demo")
    _submit(folder / "images", text_queries, first, runner)

    second, texts = folder / "result2.csv", folder / "texts"
    image_queries = f"{images}#i2t"
    runner.run("convert", image_queries, str(texts), "--to", "muge")
    items = str(texts / "MR_i2t_queries.jsonl")
    runner.run("index", items, "--out", str(folder / "words"), "--model", "demo")
    _submit(folder / "words", image_queries, second, runner)

    metrics = {
        "text_to_image": _score(first, folder / "sealed1.jsonl", runner),
        "image_to_text": _score(second, folder / "sealed2.jsonl", runner),
    }
    return metrics, (first, second)


def _submit(bundle: Path, queries: str, result: Path, runner: CommandRunner) -> None:
    """Write a task's table, and check it as the contest would."""
    options = ["--answers", queries, "--top-k", _TOP_K, "--check"]
    runner.run("evaluate", str(bundle), *options, "--save", str(result))
    runner.run("evaluate", str(result), *options, "--pool", str(bundle))


def _score(result: Path, sealed: Path, runner: CommandRunner) -> dict[str, float]:
    options = ["--answers", str(sealed), "--top-k", _TOP_K, "--json"]
    report: dict[str, dict[str, float]] = json.loads(
        runner.run("evaluate", str(result), *options, quiet=True)
    )
    return report["percent"]


def _draw(folder: Path, spec: ExerciseSpec, runner: CommandRunner) -> None:
    """Draw both attachments in place of a download, and put their correct items aside."""
    drawn, bare = folder / "drawn", folder / "bare"
    runner.run("toy", str(drawn), *spec.toy_options, "--splits", "test")
    queries = _read_rows(drawn / "MR_test_queries.jsonl")
    bare.mkdir()
    (drawn / "MR_test_imgs.tsv").rename(bare / "MR_test_imgs.tsv")
    unanswered = ({key: row[key] for key in ("query_id", "query_text")} for row in queries)
    _write_rows(bare / "MR_test_queries.jsonl", unanswered)

    words, images = folder / "attachment2", folder / "attachment3"
    runner.run("convert", str(bare), str(words), "--to", "teddy")
    copytree(words / "ImageData", images / "ImageData")
    names = {path.stem: path.name for path in (images / "ImageData").iterdir()}
    captions = _read_rows(drawn / "MR_test_captions.jsonl")
    pairs = _read_rows(drawn / "MR_test_captions.tr.jsonl")[: spec.queries]
    texts = ((_text_id(row["text_id"]), row["text"]) for row in captions)
    _write_table(images / "word_data.csv", ("text_id", "caption"), texts)
    image_queries = ((names[str(row["image_id"])],) for row in pairs)
    _write_table(images / "image_test.csv", ("image_id",), image_queries)

    correct_images = (
        {
            "query_id": str(row["query_id"]),
            "query_text": row["query_text"],
            "item_ids": [names[str(item)] for item in row["item_ids"]],
        }
        for row in queries
    )
    _write_rows(folder / "sealed1.jsonl", correct_images)
    correct_texts = (
        {"image_id": names[str(row["image_id"])], "text_ids": [*map(_text_id, row["text_ids"])]}
        for row in pairs
    )
    _write_rows(folder / "sealed2.jsonl", correct_texts)


def _text_id(number: object) -> str:
    return f"Word-{number}"  # the contest's ids of texts


def _read_rows(path: Path) -> list[dict[str, list[object]]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
