"""Teddy Cup 2024, problem B: both tasks, from their tables to the two files to hand in."""

from pathlib import Path
from shutil import copytree

from tusou.core.errors import BadDataset
from tusou.data.formats.teddycup import IMAGE_TO_TEXT, TEXT_TO_IMAGE
from tusou_lab.convert.teddycup import write_table
from tusou_lab.run_commands import CommandRunner, ToySize
from tusou_lab.walkthrough.exercise import (
    ExerciseInputs,
    Metrics,
    find_dataset,
    read_rows,
    write_bare_queries,
    write_rows,
)

_TOP_K = "5"


def run(
    folder: Path, inputs: ExerciseInputs, runner: CommandRunner
) -> tuple[Metrics, tuple[Path, ...]]:
    """Find images for the texts of attachment 2, and texts for the images of attachment 3.

    Own data may hold one of the attachments; they have no judgments, so nothing is scored.
    """
    tasks = _own_tasks(inputs.data) if inputs.data else _draw(folder, inputs.size, runner)
    made = []
    if TEXT_TO_IMAGE.split in tasks:
        text_queries, made = tasks[TEXT_TO_IMAGE.split], [folder / "result1.csv"]
        runner.run("index", text_queries, "--out", str(folder / "images"), *inputs.index_options)
        _submit(folder / "images", text_queries, made[-1], runner)
    if IMAGE_TO_TEXT.split in tasks:
        image_queries, texts = tasks[IMAGE_TO_TEXT.split], folder / "texts"
        made.append(folder / "result2.csv")
        runner.run("convert", image_queries, str(texts), "--to", "muge")
        items = str(texts / "MR_i2t_queries.jsonl")
        runner.run("index", items, "--out", str(folder / "words"), "--model", inputs.model)
        _submit(folder / "words", image_queries, made[-1], runner)

    metrics = {}
    for task, result, sealed in (
        ("text_to_image", folder / "result1.csv", folder / "sealed1.jsonl"),
        ("image_to_text", folder / "result2.csv", folder / "sealed2.jsonl"),
    ):
        if sealed.exists():
            options = ["--answers", str(sealed), "--top-k", _TOP_K]
            metrics[task] = runner.run_evaluate(result, *options)["percent"]
    return metrics, tuple(made)


def _own_tasks(data: str) -> dict[str, str]:
    """Return `DATA#SPLIT` of each task; BadDataset if neither attachment is there."""
    path, dataset = find_dataset(data)
    names = {TEXT_TO_IMAGE.split, IMAGE_TO_TEXT.split} & set(dataset.splits())
    if not names:
        raise BadDataset(
            f"{path}: neither attachment 2 ({TEXT_TO_IMAGE.texts}, {TEXT_TO_IMAGE.images}) nor "
            f"attachment 3 ({IMAGE_TO_TEXT.images}, {IMAGE_TO_TEXT.texts}), there or below"
        )
    return {name: f"{path}#{name}" for name in names}


def _submit(bundle: Path, queries: str, result: Path, runner: CommandRunner) -> None:
    """Write a task's table, and check it as the contest would."""
    options = ["--answers", queries, "--top-k", _TOP_K, "--check"]
    runner.run("evaluate", str(bundle), *options, "--save", str(result))
    runner.run("evaluate", str(result), *options, "--pool", str(bundle))


def _draw(folder: Path, size: ToySize, runner: CommandRunner) -> dict[str, str]:
    """Draw both attachments in place of a download, and put their correct items aside.

    Returns `DATA#SPLIT` of each task.
    """
    drawn, bare = folder / "drawn", folder / "bare"
    runner.run("toy", str(drawn), *size.options, "--splits", "test")
    queries = read_rows(drawn / "MR_test_queries.jsonl")
    bare.mkdir()
    (drawn / "MR_test_imgs.tsv").rename(bare / "MR_test_imgs.tsv")
    write_bare_queries(bare / "MR_test_queries.jsonl", queries)

    words, images = folder / "attachment2", folder / "attachment3"
    runner.run("convert", str(bare), str(words), "--to", "teddy")
    copytree(words / "ImageData", images / "ImageData")
    names = {path.stem: path.name for path in (images / "ImageData").iterdir()}
    captions = read_rows(drawn / "MR_test_captions.jsonl")
    pairs = read_rows(drawn / "MR_test_captions.tr.jsonl")[: size.queries]
    texts = ((_text_id(row["text_id"]), row["text"]) for row in captions)
    write_table(images / "word_data.csv", ("text_id", "caption"), texts)
    image_queries = ((names[str(row["image_id"])],) for row in pairs)
    write_table(images / "image_test.csv", ("image_id",), image_queries)

    correct_images = (
        {
            "query_id": str(row["query_id"]),
            "query_text": row["query_text"],
            "item_ids": [names[str(item)] for item in row["item_ids"]],
        }
        for row in queries
    )
    write_rows(folder / "sealed1.jsonl", correct_images)
    correct_texts = (
        {"image_id": names[str(row["image_id"])], "text_ids": [*map(_text_id, row["text_ids"])]}
        for row in pairs
    )
    write_rows(folder / "sealed2.jsonl", correct_texts)
    return {TEXT_TO_IMAGE.split: f"{words}#t2i", IMAGE_TO_TEXT.split: f"{images}#i2t"}


def _text_id(number: object) -> str:
    return f"Word-{number}"  # the contest's ids of texts
