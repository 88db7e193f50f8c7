"""The Flickr8k exercise: captions find images, images find captions, and a report on both."""

import json
from pathlib import Path

from tusou_lab.run_commands import CommandRunner
from tusou_lab.walkthrough.exercise import ExerciseSpec


def run(
    folder: Path, spec: ExerciseSpec, runner: CommandRunner
) -> tuple[dict[str, dict[str, float]], tuple[Path, ...]]:
    """Index images and captions, search both ways, sweep, and write the report."""
    data, texts = folder / "flickr8k", folder / "texts"
    images, captions = folder / "images", folder / "captions"
    _draw(folder / "drawn", spec, runner)
    runner.run("convert", str(folder / "drawn"), str(data), "--to", "flickr8k")
    test = f"{data}#test"

    runner.run("index", test, "--out", str(images), "--model", "demo")
    runner.run("convert", test, str(texts), "--to", "cnclip")
    text_items = str(texts / "test_texts.jsonl")
    runner.run("index", text_items, "--out", str(captions), "--model", "demo")

    metrics, runs = {}, []
    for name, bundle in (("text_to_image", images), ("image_to_text", captions)):
        path = folder / f"{name}.jsonl"
        options = ["--answers", test, "--save", str(path), "--json"]
        report = json.loads(runner.run("evaluate", str(bundle), *options, quiet=True))
        metrics[name] = report["percent"]
        runs.append(str(path))

    sweep, page = folder / "sweep", folder / "report.html"
    runner.run("sweep", str(images), "--answers", test, "--out", str(sweep), quiet=True)
    options = ["--answers", test, "--bundle", str(images), "--bundle", str(captions)]
    runner.run("report", *runs, *options, "--sweep", str(sweep), "--out", str(page))
    return metrics, (page, page.with_suffix(".md"))


def _draw(folder: Path, spec: ExerciseSpec, runner: CommandRunner) -> None:
    """Draw images with one caption each under cn_clip's file names, in place of a download."""
    runner.run("toy", str(folder), *spec.toy_options, "--splits", "test")
    (folder / "MR_test_imgs.tsv").rename(folder / "test_imgs.tsv")
    (folder / "MR_test_captions.jsonl").rename(folder / "test_texts.jsonl")
    for path in folder.glob("MR_*"):
        path.unlink()
