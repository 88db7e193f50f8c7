"""The Flickr8k exercise: captions find images, images find captions, and a finished report."""

import json
from pathlib import Path

from tusou_lab.run_commands import CommandRunner
from tusou_lab.walkthrough.exercise import ExerciseSpec


def walk(
    folder: Path, spec: ExerciseSpec, steps: CommandRunner
) -> tuple[dict[str, dict[str, float]], tuple[Path, ...]]:
    """Index images and captions, search both ways, sweep, and write the report."""
    data, texts = folder / "flickr8k", folder / "texts"
    images, captions = folder / "images", folder / "captions"
    _draw(folder / "drawn", spec, steps)
    steps.run("convert", str(folder / "drawn"), str(data), "--to", "flickr8k")
    test = f"{data}#test"

    steps.run("index", test, "--out", str(images), "--model", "demo")
    steps.run("convert", test, str(texts), "--to", "cnclip")
    steps.run("index", str(texts / "test_texts.jsonl"), "--out", str(captions), "--model", "demo")

    metrics, runs = {}, []
    for name, bundle in (("text_to_image", images), ("image_to_text", captions)):
        run = folder / f"{name}.jsonl"
        asked = ["--answers", test, "--save", str(run), "--json"]
        found = json.loads(steps.run("evaluate", str(bundle), *asked, quiet=True))
        metrics[name] = found["percent"]
        runs.append(str(run))

    swept, page = folder / "sweep", folder / "report.html"
    steps.run("sweep", str(images), "--answers", test, "--out", str(swept), quiet=True)
    given = ["--answers", test, "--bundle", str(images), "--bundle", str(captions)]
    steps.run("report", *runs, *given, "--sweep", str(swept), "--out", str(page))
    return metrics, (page, page.with_suffix(".md"))


def _draw(folder: Path, spec: ExerciseSpec, steps: CommandRunner) -> None:
    """Draw images with a caption each, under cn_clip's names, in place of a download."""
    steps.run("toy", str(folder), *spec.arguments, "--splits", "test")
    (folder / "MR_test_imgs.tsv").rename(folder / "test_imgs.tsv")
    (folder / "MR_test_captions.jsonl").rename(folder / "test_texts.jsonl")
    for rest in folder.glob("MR_*"):
        rest.unlink()
