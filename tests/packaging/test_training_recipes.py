"""The benchmark of training recipes: settings, choice on the fold, and intervals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tusou_lab.train.augment import AugmentSpec

from benchmarks.training_ingredients import (
    BLEND,
    INGREDIENTS,
    SOUP,
    RecipeSteps,
    fits,
    make_spec,
    plain_spec,
    steps_of,
)
from benchmarks.training_recipes import Recipe, RecipeBenchmark, RecipeData, paired_interval

PLAIN = plain_spec("demo", 3, 64, 5e-4)


def test_ingredients_change_the_plain_settings_and_add_up() -> None:
    assert make_spec(PLAIN, ()) == PLAIN
    steps = [steps_of(make_spec(PLAIN, (name,)), (name,)) for name in INGREDIENTS]
    assert len({str(each) for each in steps}) == len(INGREDIENTS)
    assert RecipeSteps((PLAIN,), blend=False) not in steps
    soup = steps_of(PLAIN, (SOUP, BLEND))
    assert [spec.lr for spec in soup.members] == [2.5e-4, 5e-4, 1e-3]
    assert (soup.blend, soup.averaged) == (True, True)
    spec = make_spec(PLAIN, ("text changes", "all image changes", "twice the rate", "LoRA 8"))
    assert spec.augment == AugmentSpec(
        ("crop", "shift", "flip", "colour", "cut-out"), ("order", "synonyms", "drop")
    )
    assert (spec.lr, spec.epochs, spec.lora) == (pytest.approx(1e-2), 3, 8)
    assert make_spec(PLAIN, ("twice the epochs",)) == replace(PLAIN, epochs=6)
    step = make_spec(PLAIN, ("average of weights", "masked patches")).step
    assert (step.ema, step.mask_patches, step.layer_decay) == (0.95, 0.3, 1.0)
    assert not fits("sigmoid loss", ("triplet loss", "prompt"))
    assert fits("prompt", ("triplet loss",))


def test_an_interval_holds_the_noise_of_queries_and_of_seeds() -> None:
    rng = np.random.default_rng(1)
    plain = rng.normal(50, 20, (3, 400))
    low, high = paired_interval(plain + 2, plain)
    assert (low, high) == (pytest.approx(2), pytest.approx(2))
    noisy = plain + rng.normal(2, 10, plain.shape)
    low, high = paired_interval(noisy, plain)
    assert 0.5 < low < 2 < high < 3.5
    # Seeds that disagree widen it, however many the queries.
    disagreeing = noisy + np.array([[-4.0], [0.0], [4.0]])
    wide = paired_interval(disagreeing, plain)
    assert wide[0] < low - 1
    assert wide[1] > high + 1


def test_the_fold_chooses_and_the_report_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best ingredient on the report is bad on the fold, and stays out of the recipe."""
    fold = {"prompt": 2.0, "hard negatives": 1.0, "all image changes": -1.0, "text changes": 0.5}
    report = {"prompt": 1.0, "hard negatives": -1.0, "all image changes": 9.0, "text changes": 0.0}
    bench = RecipeBenchmark(RecipeData("fit", "fold", "report"), PLAIN, tmp_path, 2, 1e18)

    def run(recipe: Recipe, seed: int) -> dict[str, object]:
        # Text changes add nothing to the others.
        helps = [name for name in recipe if name != "text changes" or recipe == (name,)]
        return {
            "fold": 50 + sum(fold[name] for name in helps),
            "hits": [50 + seed + sum(report[name] for name in helps)] * 4,
            "minutes": 1.0,
        }

    monkeypatch.setattr(bench, "_run", run)
    monkeypatch.setattr(bench, "_score", lambda *_: np.full(4, 40.0))
    figures = bench.measure(list(fold))
    chosen = figures["chosen"]
    assert isinstance(chosen, dict)
    assert chosen["recipe"] == ["prompt", "hard negatives"]
    assert figures["before training"] == {"fold": 40, "mean_recall": 40}
    assert (chosen["fold"], chosen["gain"], chosen["interval"]) == (53, 0, [0, 0])
    added = figures["added"]
    assert isinstance(added, list)
    assert [row["recipe"] for row in added] == [
        ["prompt", "hard negatives"],
        ["prompt", "hard negatives", "text changes"],
    ]
