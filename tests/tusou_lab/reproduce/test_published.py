"""The table of published figures, and the architecture of a checkpoint."""

import json
from pathlib import Path

import cn_clip.clip
import pytest
from tusou_lab.reproduce.published import _SHAPES as SHAPES
from tusou_lab.reproduce.published import (
    METRICS,
    OFFICIAL_VALID,
    DataSize,
    family_of,
    published_rows,
)
from tusou_lab.reproduce.published import _key as shape_key
from tusou_lab.reproduce.report import LadderLine, Reproduction

from tusou.encoders import MODELS, find_weights
from tusou.encoders.architecture import ImageShape

CONFIGS = Path(cn_clip.clip.__file__).parent / "model_configs"


@pytest.mark.parametrize("model", MODELS)
def test_a_mean_recall_is_the_mean_of_its_hits(model: str) -> None:
    rows = published_rows(model)
    assert [row.training for row in rows] == ["zero-shot", "fine-tuned"]
    for row in rows:
        *hits, mean_recall = (row.percent[name] for name in METRICS)
        # Each figure is rounded to one decimal.
        assert sum(hits) / 3 == pytest.approx(mean_recall, abs=0.1 + 1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_a_published_architecture_is_known_by_its_shape(model: str) -> None:
    config = json.loads((CONFIGS / f"{model}.json").read_text())
    layers = config["vision_layers"]
    if isinstance(layers, str):
        layers = tuple(json.loads(layers))
    shape = ImageShape(
        config["embed_dim"],
        config["image_resolution"],
        layers,
        config["vision_width"],
        config.get("vision_patch_size"),
        config.get("vision_head_width", 64),
    )
    assert SHAPES[shape_key(shape)] == model


def test_a_model_of_another_shape_has_no_row(tiny_model: Path) -> None:
    assert family_of(find_weights(str(tiny_model))) is None
    assert published_rows(None) == ()


def report(
    percent: tuple[float, ...], size: DataSize = OFFICIAL_VALID, family: str | None = "ViT-B-16"
) -> Reproduction:
    figures = dict(zip(METRICS, percent, strict=True))
    return Reproduction(
        model="x.pt",
        model_sha256="0" * 64,
        family=family,
        size=size,
        official=OFFICIAL_VALID,
        failed_items=0,
        percent=figures,
        interval={name: (value - 1, value + 1) for name, value in figures.items()},
        published=published_rows(family),
        training="zero-shot",
        bundle="v1",
        index="Flat",
        precision="fp32",
        ladder=(),
        machine="2 cores",
        date="2026-01-01",
        tusou="0.1.0",
        seconds={},
    )


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        pytest.param(report((52.08, 76.74, 84.35, 71.06)), "reproduced", id="same"),
        pytest.param(report((52.1, 76.7, 84.4, 71.4)), "differs", id="one-figure-differs"),
        pytest.param(
            report((52.08, 76.74, 84.35, 71.06), DataSize(5008, 29_805)), "other_data", id="pool"
        ),
        pytest.param(report((52.08, 76.74, 84.35, 71.06), family=None), "no_row", id="model"),
    ],
)
def test_the_verdict_needs_the_official_files(made: Reproduction, verdict: str) -> None:
    assert made.verdict == verdict


def test_differences_are_measured_less_published() -> None:
    assert report((52.08, 76.74, 84.35, 71.06)).differences == {
        "hit@1": -0.02,
        "hit@5": 0.04,
        "hit@10": -0.05,
        "mean_recall": -0.04,
    }


def test_a_rung_that_was_not_confirmed_has_no_gain() -> None:
    gains = {"mean_recall": {"before": 60.0, "after": 61.5, "gain": 1.5, "low": 0.5, "high": 2.5}}
    taken = {"name": "hub", "above": ["feedback"], "gains": gains, "cost": {"ms": 4.0}}
    assert LadderLine.of({**taken, "verdict": "taken"}) == LadderLine(
        "hub", ("feedback",), 1.5, 0.5, 2.5, 4.0, "taken"
    )
    useless = {"name": "hub", "above": [], "gains": {}, "cost": None, "verdict": "no_gain"}
    assert LadderLine.of(useless) == LadderLine("hub", (), None, None, None, None, "no_gain")
