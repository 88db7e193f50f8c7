"""The Flickr8k exercise: captions find images, images find captions, and a report on both."""

from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.data import open_dataset
from tusou_lab.run_commands import CommandRunner
from tusou_lab.walkthrough.exercise import ExerciseInputs, Metrics, choose_split, write_rows


def run(
    folder: Path, inputs: ExerciseInputs, runner: CommandRunner
) -> tuple[Metrics, tuple[Path, ...]]:
    """Index images and captions, search both ways, sweep, and write the report."""
    texts, images, captions = folder / "texts", folder / "images", folder / "captions"
    data = inputs.data or _draw(folder, inputs, runner)
    test = choose_split(data, "test", "val", "dev")
    split = test.rpartition("#")[2]

    runner.run("index", test, "--out", str(images), *inputs.index_options)
    # MUGE's query file keeps ids such as `1.jpg#zhc#0`; cn_clip's has numbers in their place.
    runner.run("convert", test, str(texts), "--to", "muge")
    text_items = str(texts / f"MR_{split}_queries.jsonl")
    runner.run("index", text_items, "--out", str(captions), "--model", inputs.model)
    image_queries, pool = folder / "image_queries.jsonl", texts / f"MR_{split}_imgs.tsv"
    _write_image_queries(image_queries, test, images)

    metrics, runs = {}, []
    for name, bundle, options in (
        ("text_to_image", images, ["--answers", test]),
        ("image_to_text", captions, ["--answers", str(image_queries), "--pool", str(pool)]),
    ):
        path = folder / f"{name}.jsonl"
        report = runner.run_evaluate(bundle, *options, "--save", str(path))
        metrics[name] = report["percent"]
        runs.append(str(path))

    sweep, page = folder / "sweep", folder / "report.html"
    runner.run("sweep", str(images), "--answers", test, "--out", str(sweep), quiet=True)
    options = ["--answers", test, "--answers", str(image_queries)]
    options += ["--bundle", str(images), "--bundle", str(captions)]
    runner.run("report", *runs, *options, "--sweep", str(sweep), "--out", str(page))
    return metrics, (page, page.with_suffix(".md"))


def _draw(folder: Path, inputs: ExerciseInputs, runner: CommandRunner) -> str:
    """Draw images with one caption each in place of a download, as Flickr8k's files."""
    drawn, data = folder / "drawn", folder / "flickr8k"
    runner.run("toy", str(drawn), *inputs.size.options, "--splits", "test")
    # Rename them to cn_clip's file names.
    (drawn / "MR_test_imgs.tsv").rename(drawn / "test_imgs.tsv")
    (drawn / "MR_test_captions.jsonl").rename(drawn / "test_texts.jsonl")
    for path in drawn.glob("MR_*"):
        path.unlink()
    runner.run("convert", str(drawn), str(data), "--to", "flickr8k")
    return str(data)


def _write_image_queries(path: Path, source: str, images: Path) -> None:
    """Write each image that could be indexed with its captions; the others cannot search."""
    ids = Bundle.open(images).ids
    rows = (
        {"item_id": query.item_id, "text_ids": query.text_ids}
        for query in open_dataset(source).image_queries()
        if ids.key(str(query.item_id)) is not None
    )
    write_rows(path, rows)
