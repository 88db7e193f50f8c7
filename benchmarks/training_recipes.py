"""Gains of training recipes over that of cn_clip: each ingredient alone, then added to the others.

    python -m benchmarks.training_recipes clothing --clothing DATA [--folder FOLDER] [--save]
    python -m benchmarks.training_recipes hard [--folder FOLDER] [--save]

Fine-tunes the demo model: on real photos of clothes (DATA is a dataset with train and valid), and
on hard drawn products. Epochs and recipes are chosen on a fold: a fifth of the items of train, near
duplicates on one side, or the drawn split valid. What is reported is measured on images that chose
nothing: valid of DATA, or the drawn split test. A gain is that over the plain recipe with the same
seed and the same query, its 95 % interval from resampling both queries and seeds.

Every run is kept in FOLDER by its settings, so that the command goes on where it was stopped, and
an ingredient can be added later. `--ingredients` names those to measure, `--until MINUTES` ends
early with what there is.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir
from time import monotonic, process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tusou_lab.soup.blend import read_blend
from tusou_lab.soup.run import make_soup
from tusou_lab.split.run import split
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.toy.difficulty import HARD
from tusou_lab.train.data import SplitEncoder, load_split
from tusou_lab.train.models import open_trainable
from tusou_lab.train.prompted import PromptedTokenizer
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.validate import rank

from benchmarks.record import record
from benchmarks.training_ingredients import (
    BLEND,
    INGREDIENTS,
    PLAIN,
    SOUP,
    RecipeSteps,
    fits,
    make_spec,
    plain_spec,
    steps_of,
)
from tusou.cli.progress import NoProgress
from tusou.data import open_dataset
from tusou.evaluation.metrics import per_query

Recipe = tuple[str, ...]
_RESAMPLES = 4000
_FOLD = 0.2  # of the items of train
_DRAWN = {"valid": (600, 500), "test": (1500, 2000)}  # items, queries
_DRAWN_SEED = 17


@dataclass(frozen=True, slots=True)
class RecipeData:
    """The data of a benchmark: DATA#SPLIT to train on, to choose by, and to report."""

    fit: str
    fold: str
    report: str


@dataclass(frozen=True, slots=True)
class RecipeRuns:
    """The runs of a recipe, one a seed."""

    fold: NDArray[np.float64]  # (seeds,) mean_recall of the chosen epochs, percent
    hits: NDArray[np.float64]  # (seeds, queries) mean of hit@1, hit@5, hit@10, percent
    minutes: NDArray[np.float64]  # (seeds,) of the processor, for training and validation


def main() -> None:
    """Run what is missing, and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=("clothing", "hard"))
    parser.add_argument("--clothing", type=Path, help="dataset of photos with train and valid")
    parser.add_argument(
        "--folder", type=Path, default=Path(gettempdir()) / "tusou-training-recipes"
    )
    parser.add_argument("--ingredients", default=",".join(INGREDIENTS), help="with commas between")
    parser.add_argument("--pairs", type=int, default=1000, help="of the drawn split train")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--until", type=float, default=1e9, help="minutes for further runs")
    parser.add_argument("--save", action="store_true", help="write the result file")
    arguments = parser.parse_args()
    if "--until" in sys.argv:  # no part of the recorded command: it changes no figure
        place = sys.argv.index("--until")
        del sys.argv[place : place + 2]
    names = arguments.ingredients.split(",")
    if unknown := [name for name in names if name not in INGREDIENTS]:
        parser.error(f"no ingredient {', '.join(unknown)}; there are {', '.join(INGREDIENTS)}")
    if arguments.data == "clothing" and arguments.clothing is None:
        parser.error("clothing needs --clothing DATA")
    # A higher rate than the default suits a model of the demo's size.
    plain = plain_spec("demo", arguments.epochs, arguments.batch_size, arguments.lr)
    bench = RecipeBenchmark(
        _prepare(arguments.data, arguments.clothing, arguments.pairs, arguments.folder),
        plain,
        arguments.folder / f"{arguments.data}-runs",
        arguments.seeds,
        monotonic() + 60 * arguments.until,
    )
    figures = bench.measure(names)
    record("training_recipes", figures, f"training_recipes_{arguments.data}", save=arguments.save)


class RecipeBenchmark:
    """Runs recipes with several seeds, and compares them with the plain one."""

    def __init__(
        self, data: RecipeData, plain: TrainSpec, folder: Path, seeds: int, until: float
    ) -> None:
        self._data, self._plain, self._folder = data, plain, folder
        self._seeds, self._until = seeds, until
        folder.mkdir(parents=True, exist_ok=True)

    def measure(self, names: Sequence[str]) -> dict[str, object]:
        """Return the figures of all recipes that there was time for."""
        measured: dict[Recipe, RecipeRuns] = {}
        for recipe in [PLAIN, *((name,) for name in names)]:
            self._add(recipe, measured)
        if PLAIN not in measured:
            raise SystemExit("no time was left for the plain recipe: give a larger --until")
        chosen, plain = self._combine(names, measured), measured[PLAIN]
        return {
            "model": self._plain.model,
            "epochs": self._plain.epochs,
            "pairs of a batch": self._plain.batch_size,
            "seeds": self._seeds,
            "queries": plain.hits.shape[1],
            "before training": {
                "fold": round(float(self._score(self._plain.model, self._data.fold).mean()), 2),
                "mean_recall": round(
                    float(self._score(self._plain.model, self._data.report).mean()), 2
                ),
            },
            "plain": _describe(PLAIN, plain, plain),
            "alone": [_describe(r, measured[r], plain) for r in measured if len(r) == 1],
            "added": [_describe(r, measured[r], plain) for r in measured if len(r) > 1],
            "chosen": _describe(chosen, measured[chosen], plain),
        }

    def _combine(self, names: Sequence[str], measured: dict[Recipe, RecipeRuns]) -> Recipe:
        """Add the ingredients one by one, the best on the fold first; return the best recipe.

        One that does not make the fold's mean better is left out again.
        """
        best = PLAIN
        ranked = [name for name in names if (name,) in measured]
        ranked.sort(key=lambda name: -measured[(name,)].fold.mean())
        for name in ranked:
            gains = measured[(name,)].fold.mean() > measured[PLAIN].fold.mean()
            if not gains or not fits(name, best):
                continue
            recipe = (*best, name)
            self._add(recipe, measured)
            if recipe in measured and measured[recipe].fold.mean() > measured[best].fold.mean():
                best = recipe
        return best

    def _add(self, recipe: Recipe, measured: dict[Recipe, RecipeRuns]) -> None:
        """Measure a recipe with every seed, unless the time is over before."""
        if recipe in measured:
            return
        runs = []
        for seed in range(self._seeds):
            run = self._run(recipe, seed)
            if run is None:
                return
            runs.append(run)
        fold, hits, minutes = (
            np.array([run[name] for run in runs]) for name in ("fold", "hits", "minutes")
        )
        measured[recipe] = RecipeRuns(fold, hits, minutes)

    def _run(self, recipe: Recipe, seed: int) -> dict[str, Any] | None:
        spec = make_spec(replace(self._plain, seed=seed), recipe)
        averages = sorted({SOUP, BLEND} & set(recipe))
        key = json.dumps([self._data.fit, spec.flat(), *averages], sort_keys=True)
        name = blake2b(key.encode(), digest_size=8).hexdigest()
        kept = self._folder / f"{name}.json"
        if not kept.exists():
            if monotonic() > self._until:
                return None
            figures = self._train(steps_of(spec, recipe), self._folder / name)
            kept.write_text(json.dumps({"recipe": recipe, "settings": spec.flat(), **figures}))
            print(f"{' + '.join(recipe) or 'plain'}, seed {seed}:", _short(figures), flush=True)
        stored: dict[str, Any] = json.loads(kept.read_text())
        return stored

    def _train(self, steps: RecipeSteps, folder: Path) -> dict[str, Any]:
        """Train the models of a recipe, and return its figures: a stopped run goes on."""
        folder.mkdir(exist_ok=True)
        started = process_time()
        models, epochs, fold = [], [], 0.0
        for number, spec in enumerate(steps.members):
            models.append(str(folder / f"{number}.pt"))
            report = train(
                self._data.fit, spec, Path(models[-1]), valid=self._data.fold, device="cpu"
            )
            epochs.append(report.best_epoch)
            fold = report.best_mean_recall
        result = models[0]
        if steps.averaged:
            blend = read_blend("start", models) if steps.blend else None
            averaged = folder / "average.pt"
            soup = make_soup(models, averaged, data=self._data.fold, blend=blend, device="cpu")
            result, fold = str(averaged), soup.record.mean_recall or 0.0
        minutes = (process_time() - started) / 60
        values = self._score(result, self._data.report, steps.members[0].prompt)
        rmtree(folder)
        return {"fold": fold, "hits": values.tolist(), "minutes": minutes, "epochs": epochs}

    def _score(self, model: str, data: str, prompt: str = "") -> NDArray[np.float64]:
        """Return the mean of hit@1, hit@5 and hit@10 of each query of DATA#SPLIT, in percent."""
        opened = open_trainable(model)
        tokenize = PromptedTokenizer(opened.tokenize, prompt)
        dataset, cache = open_dataset(data), self._folder / ".pixels"
        encoder = SplitEncoder(opened.traits.transform, tokenize)
        loaded = load_split(dataset, dataset.split(), encoder, cache, NoProgress())
        hits = per_query(rank(opened, loaded, torch.device("cpu")))
        values: NDArray[np.float64] = 100 * np.mean([hits[f"hit@{k}"] for k in (1, 5, 10)], axis=0)
        return values


def paired_interval(ours: NDArray[np.float64], plain: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of the mean gain; both are (seeds, queries), paired.

    Each resample draws queries and seeds with replacement, so the interval holds the noise of
    both.
    """
    gains = ours - plain
    rng = np.random.default_rng(20240)
    seeds, queries = gains.shape
    means = np.empty(_RESAMPLES)
    for number in range(_RESAMPLES):
        rows = gains[rng.integers(0, seeds, seeds)]
        means[number] = rows.mean(axis=0)[rng.integers(0, queries, queries)].mean()
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _prepare(name: str, clothing: Path | None, pairs: int, folder: Path) -> RecipeData:
    """Write the data that a benchmark needs into the folder, once."""
    data = folder / name
    if name == "hard":
        data = folder / f"hard-{pairs}"
        if not (data / "MR_test_queries.jsonl").exists():
            sizes = [SplitSize(part, *size) for part, size in _DRAWN.items()]
            sizes.append(SplitSize("train", pairs, pairs))
            write_toy(data, sizes, _DRAWN_SEED, workers=2, difficulty=HARD)
        return RecipeData(f"{data}#train", f"{data}#valid", f"{data}#test")
    if not (data / "split.json").exists():
        sizes_of_fold = {"valid": _FOLD, "test": 0.0}
        split(f"{clothing}#train", data, sizes_of_fold, 0, NoProgress(), workers=2)
    return RecipeData(f"{data}#train", f"{data}#valid", f"{clothing}#valid")


def _describe(recipe: Recipe, runs: RecipeRuns, plain: RecipeRuns) -> dict[str, object]:
    low, high = paired_interval(runs.hits, plain.hits)
    return {
        "recipe": list(recipe),
        "fold": round(float(runs.fold.mean()), 2),
        "mean_recall": round(float(runs.hits.mean()), 2),
        "of seeds": [round(float(value), 2) for value in runs.hits.mean(axis=1)],
        "gain": round(float((runs.hits - plain.hits).mean()), 2),
        "interval": [round(low, 2), round(high, 2)],
        "processor minutes": round(float(np.median(runs.minutes)), 2),
    }


def _short(figures: dict[str, Any]) -> str:
    recall = float(np.mean(figures["hits"]))
    fold, minutes = figures["fold"], figures["minutes"]
    return f"fold {fold:.2f}, reported {recall:.2f}, {minutes:.1f} processor minutes"


if __name__ == "__main__":
    main()
