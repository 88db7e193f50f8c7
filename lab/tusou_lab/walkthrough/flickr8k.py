"""The Flickr8k exercise: captions find images, images find captions, and a report on both."""

from pathlib import Path

from tusou_lab.run_commands import CommandRunner, ToySize
from tusou_lab.walkthrough.exercise import Metrics


def run(folder: Path, size: ToySize, runner: CommandRunner) -> tuple[Metrics, tuple[Path, ...]]:
    """Index images and captions, search both ways, sweep, and write the report."""
    data, texts = folder / "flickr8k", folder / "texts"
    images, captions = folder / "images", folder / "captions"
    # Images with one caption each, in place of a download: rename them to cn_clip's file names.
    drawn = folder / "drawn"
    runner.run("toy", str(drawn), *size.options, "--splits", "test")
    (drawn / "MR_test_imgs.tsv").rename(drawn / "test_imgs.tsv")
    (drawn / "MR_test_captions.jsonl").rename(drawn / "test_texts.jsonl")
    for path in drawn.glob("MR_*"):
        path.unlink()
    runner.run("convert", str(drawn), str(data), "--to", "flickr8k")
    test = f"{data}#test"

    runner.run("index", test, "--out", str(images), "--model", "demo")
    runner.run("convert", test, str(texts), "--to", "muge")
    text_items = str(texts / "MR_test_queries.jsonl")
    runner.run("index", text_items, "--out", str(captions), "--model", "demo")

    metrics, runs = {}, []
    for name, bundle in (("text_to_image", images), ("image_to_text", captions)):
        path = folder / f"{name}.jsonl"
        report = runner.run_evaluate(bundle, "--answers", test, "--save", str(path))
        metrics[name] = report["percent"]
        runs.append(str(path))

    sweep, page = folder / "sweep", folder / "report.html"
    runner.run("sweep", str(images), "--answers", test, "--out", str(sweep), quiet=True)
    options = ["--answers", test, "--bundle", str(images), "--bundle", str(captions)]
    runner.run("report", *runs, *options, "--sweep", str(sweep), "--out", str(page))
    return metrics, (page, page.with_suffix(".md"))
