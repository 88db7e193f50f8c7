"""The Flickr8k exercise: captions find images, images find captions, and a report on both."""

from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.data import Dataset, open_dataset, split_source
from tusou.data.base import ONLY_SPLIT
from tusou_lab.evaluate.search_bundle import DEPTH
from tusou_lab.run_commands import CommandRunner
from tusou_lab.walkthrough.exercise import (
    ExerciseInputs,
    Metrics,
    choose_split,
    find_dataset,
    write_rows,
)

# The images of train, valid and test, as the authors of Flickr8k divided it.
_SIZES = {"train": 6000, "valid": 1000, "test": 1000}
_PREFERRED = ("test", "val", "dev")


def run(
    folder: Path, inputs: ExerciseInputs, runner: CommandRunner
) -> tuple[Metrics, tuple[Path, ...]]:
    """Divide the data if it is not, index images and captions, search both ways, sweep, report.

    With `inputs.epochs` the model is fine-tuned on train and measured beside the given one.
    """
    data = _own(folder, inputs, runner) if inputs.data else _draw(folder, inputs, runner)
    test = choose_split(data, *_PREFERRED)
    models = {"": inputs.model}
    if inputs.epochs:
        models["_tuned"] = _train(folder, split_source(test)[0], inputs, runner)
    texts = folder / "texts"
    # MUGE's query file keeps ids such as `1.jpg#zhc#0`; cn_clip's has numbers in their place.
    runner.run("convert", test, str(texts), "--to", "muge")
    exercise = _Exercise(folder, test, texts, inputs, runner)
    metrics: Metrics = {}
    for suffix, model in models.items():
        metrics |= exercise.measure(model, suffix)

    sweep, page = folder / "sweep", folder / "report.html"
    images = str(folder / "images")
    runner.run("sweep", images, "--answers", test, "--out", str(sweep), quiet=True)
    options = ["--answers", test, "--answers", str(exercise.image_queries)]
    for suffix in models:
        for kind in ("images", "captions"):
            options += ["--bundle", str(folder / f"{kind}{suffix}")]
    runs = [str(folder / f"{name}.jsonl") for name in metrics]
    runner.run("report", *runs, *options, "--sweep", str(sweep), "--out", str(page))
    return metrics, (page, page.with_suffix(".md"))


@dataclass(frozen=True, slots=True)
class _Exercise:
    """The files of one run."""

    folder: Path
    test: str  # DATA#SPLIT
    texts: Path
    inputs: ExerciseInputs
    runner: CommandRunner

    @property
    def image_queries(self) -> Path:
        return self.folder / "image_queries.jsonl"

    def measure(self, model: str, suffix: str) -> Metrics:
        """Index images and captions with a model, and search both ways."""
        split = self.test.rpartition("#")[2]
        images, captions = (self.folder / f"{kind}{suffix}" for kind in ("images", "captions"))
        options = ["--model", model, *self.inputs.index_options[2:]]
        self.runner.run("index", self.test, "--out", str(images), *options)
        items = str(self.texts / f"MR_{split}_queries.jsonl")
        self.runner.run("index", items, "--out", str(captions), "--model", model)
        if not self.image_queries.exists():
            _write_image_queries(self.image_queries, self.test, images)
        pool = str(self.texts / f"MR_{split}_imgs.tsv")
        metrics = {}
        for direction, bundle, answers in (
            ("text_to_image", images, ["--answers", self.test]),
            ("image_to_text", captions, ["--answers", str(self.image_queries), "--pool", pool]),
        ):
            name = f"{direction}{suffix}"
            options = ["--save", str(self.folder / f"{name}.jsonl"), *_depth(bundle)]
            metrics[name] = self.runner.run_evaluate(bundle, *answers, *options)["percent"]
        return metrics


def _depth(bundle: Path) -> list[str]:
    """Return the option for the results of a query, where the bundle has fewer items than usual."""
    count = Bundle.open(bundle).item_count
    return ["--top-k", str(count)] if count < DEPTH else []


def _own(folder: Path, inputs: ExerciseInputs, runner: CommandRunner) -> str:
    """Return the user's data, divided into splits if it comes without any."""
    path, dataset = find_dataset(inputs.data or "", *_PREFERRED)
    if description := dataset.reader.describe():
        runner.note(description)
    if dataset.only or list(dataset.splits()) != [ONLY_SPLIT]:
        return inputs.data or ""
    divided = folder / "split"
    options = ["--seed", str(inputs.size.seed), "--to", "flickr8k"]
    runner.run("split", path, "--out", str(divided), *split_sizes(dataset), *options)
    return str(divided)


def split_sizes(dataset: Dataset) -> list[str]:
    """Return the options of `tusou split`: Flickr8k's sizes, or their shares of fewer images."""
    images = {item_id for query in dataset.queries() for item_id in query.item_ids or ()}
    total = sum(_SIZES.values())
    if len(images) >= total:
        return [word for name, size in _SIZES.items() for word in (f"--{name}", str(size))]
    shares = {name: size / total for name, size in _SIZES.items() if name != "train"}
    return [word for name, share in shares.items() for word in (f"--{name}", f"{share:g}")]


def _train(folder: Path, data: Path, inputs: ExerciseInputs, runner: CommandRunner) -> str:
    """Fine-tune the model on train, and return the result; a folder gives a folder."""
    tuned = folder / ("tuned" if Path(inputs.model).is_dir() else "tuned.pt")
    options = ["--model", inputs.model, "--epochs", str(inputs.epochs)]
    runner.run("train", str(data), "--out", str(tuned), *options, "--seed", str(inputs.size.seed))
    return str(tuned)


def _draw(folder: Path, inputs: ExerciseInputs, runner: CommandRunner) -> str:
    """Draw images with one caption each in place of a download, as Flickr8k's files."""
    drawn, data = folder / "drawn", folder / "flickr8k"
    splits = "train,valid,test" if inputs.epochs else "test"
    runner.run("toy", str(drawn), *inputs.size.options, "--splits", splits)
    # Rename them to cn_clip's file names.
    for split in splits.split(","):
        (drawn / f"MR_{split}_imgs.tsv").rename(drawn / f"{split}_imgs.tsv")
        (drawn / f"MR_{split}_captions.jsonl").rename(drawn / f"{split}_texts.jsonl")
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
