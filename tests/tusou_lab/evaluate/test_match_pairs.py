"""`tusou evaluate --pairs`: labelled pairs of Zero's ICM, scored by a bundle of their images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from drawing import image_bytes
from reading import write_file
from tusou_indexer.build import BuildSpec, build
from tusou_lab.evaluate.cli import evaluate as evaluate_command
from typer.testing import CliRunner

from tusou.cli.progress import NoProgress
from tusou.evaluation.pair_matching import choose_threshold
from tusou.retrieval.pipeline import SearchPipeline

COUNT = 24
IMAGES = "IQR_IQM_ICR_ICM_images"


def pair(number: int, text: str, label: object, ending: str = "jpg") -> dict[str, object]:
    return {"text": text, "image_path": f"ICM/images/img{number}.{ending}", "label": label}


# Two pairs of each image; the file of image 5 is a GIF, and that of image 9 is missing.
VAL = [
    pair(n, f"{text}，第{n}件", label)
    for n in range(COUNT)
    for text, label in (("红色连衣裙", n % 2), ("运动鞋", (n + 1) % 2))
]
TRAIN = [pair(n, f"训练的第{n}个\t商品", int(n % 3 == 0)) for n in range(COUNT)]


def write_pairs(path: Path, rows: list[dict[str, object]]) -> Path:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows)
    return write_file(path, f"\ufeff{lines}")


@pytest.fixture(scope="module")
def zero(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zero")
    write_pairs(root / "ICM" / "val" / "long_itm_val.json", VAL)
    write_pairs(root / "ICM" / "train" / "long_itm_train.json", TRAIN)
    for number in range(COUNT):
        form = "GIF" if number == 5 else "JPEG"
        if number != 9:
            write_file(root / IMAGES / f"img{number}.jpg", image_bytes(number, form=form))
    return root


@pytest.fixture(scope="module")
def bundle(zero: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index the folder of images, whose ids are those of the pairs, for all tasks."""
    root = tmp_path_factory.mktemp("bundle") / "b"
    build(BuildSpec(str(zero / IMAGES), str(tiny_model), workers=1), root, NoProgress())
    return root


def invoke(*words: object) -> Any:
    app = typer.Typer()
    app.command()(evaluate_command)
    return CliRunner().invoke(app, list(map(str, words)))


def evaluate(*words: object) -> dict[str, Any]:
    result = invoke(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def scores_of(bundle: Path, rows: list[dict[str, object]]) -> tuple[Any, Any]:
    """Return scores and labels, computed one by one."""
    pipeline = SearchPipeline.open(bundle)
    scores, labels = [], []
    for row in rows:
        key = pipeline.bundle.ids.key(Path(str(row["image_path"])).stem)
        if key is not None:
            text = " ".join(str(row["text"]).split())
            vector = pipeline.encode_texts([text]).vectors[0]
            scores.append(float(vector @ pipeline.bundle.vectors[key]))
            labels.append(row["label"] == 1)
    return np.array(scores), np.array(labels)


def test_figures_are_those_of_the_cosines(zero: Path, bundle: Path) -> None:
    report = evaluate(bundle, "--pairs", f"{zero / 'ICM'}#val")
    scores, labels = scores_of(bundle, VAL)
    differences = scores[labels][:, None] - scores[~labels][None]
    expected = np.mean((differences > 0) + (differences == 0) / 2)
    assert report["percent"]["auc"] == pytest.approx(100 * expected, abs=0.4)
    assert (report["pairs"], report["matching"], report["images"]) == (46, 23, 23)
    assert (report["unknown_pairs"], report["unknown_images"]) == (2, 1)
    assert report["contradictory"] == 0
    assert report["threshold_from"] is None
    assert len(report["thresholds"]) == 5
    low, high = report["interval"]["auc"]
    assert low < report["percent"]["auc"] < high


def test_a_threshold_from_other_pairs(zero: Path, bundle: Path) -> None:
    source = f"{zero / 'ICM'}#train"
    report = evaluate(bundle, "--pairs", f"{zero / 'ICM'}#val", "--threshold-from", source)
    threshold = choose_threshold(*scores_of(bundle, TRAIN))
    assert report["thresholds"] == [pytest.approx(threshold, abs=1e-4)]
    scores, labels = scores_of(bundle, VAL)
    accuracy = 100 * np.mean((scores >= report["thresholds"][0]) == labels)
    assert report["percent"]["accuracy"] == pytest.approx(accuracy, abs=2.2)
    assert report["threshold_from"] == source


def test_the_report_says_how_the_threshold_was_chosen(zero: Path, bundle: Path) -> None:
    result = invoke(bundle, "--pairs", f"{zero / 'ICM'}#val")
    assert result.exit_code == 0
    assert "46 pairs of 23 images, 23 matching; 2 left out" in result.output
    assert "each chosen on four fifths of the images, for the others" in result.output
    assert "2 of 48 pairs" in result.output
    assert "img9" in result.output
    source = f"{zero / 'ICM'}#train"
    result = invoke(bundle, "--pairs", f"{zero / 'ICM'}#val", "--threshold-from", source)
    assert f"chosen on {source}" in result.output


def test_a_threshold_chosen_on_the_same_pairs_is_refused(zero: Path, bundle: Path) -> None:
    path = zero / "ICM" / "val" / "long_itm_val.json"
    result = invoke(bundle, "--pairs", f"{zero / 'ICM'}#val", "--threshold-from", path)
    assert result.exit_code == 1
    assert "chosen on the same pairs says nothing about others" in result.output


def test_shared_and_contradictory_pairs_are_counted(
    zero: Path, bundle: Path, tmp_path: Path
) -> None:
    rows = [*TRAIN, VAL[0], {**TRAIN[0], "label": 0}]
    other = write_pairs(tmp_path / "long_itm_test.json", rows)
    result = invoke(bundle, "--pairs", other, "--threshold-from", f"{zero / 'ICM'}#val")
    assert result.exit_code == 0
    assert f"1 of 48 pairs of {zero / 'ICM'}#val are also in {other}" in result.output
    assert "1 pairs of a text and an image have both labels" in result.output


def test_a_threshold_is_not_chosen_on_pairs_that_are_scored_too(
    zero: Path, bundle: Path, tmp_path: Path
) -> None:
    # The highest score is the best threshold for these pairs, but not for all of train.
    scores, _ = scores_of(bundle, VAL[:4])
    others = [
        {**row, "label": int(score == scores.max())}
        for row, score in zip(VAL[:4], scores, strict=True)
    ]
    alone = write_pairs(tmp_path / "alone" / "long_itm_val.json", others)
    mixed = write_pairs(tmp_path / "mixed" / "long_itm_val.json", [*TRAIN, *others])
    scored = ("--pairs", f"{zero / 'ICM'}#train", "--threshold-from")
    report = evaluate(bundle, *scored, mixed)
    assert report["thresholds"] == evaluate(bundle, *scored, alone)["thresholds"]
    every_pair = choose_threshold(*scores_of(bundle, [*TRAIN, *others]))
    assert report["thresholds"] != [pytest.approx(every_pair, abs=1e-4)]


def test_pairs_of_a_plain_file_name_items(bundle: Path, tmp_path: Path) -> None:
    rows = [{"text": f"第{n}件", "item_id": f"img{n}", "label": n % 2} for n in range(8)]
    path = write_file(tmp_path / "pairs.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert evaluate(bundle, "--pairs", path)["pairs"] == 8


def test_a_caption_longer_than_a_query_is_scored(bundle: Path, tmp_path: Path) -> None:
    rows = [pair(n, "红色连衣裙" * 200 + str(n), n % 2) for n in range(8)]
    assert (
        evaluate(bundle, "--pairs", write_pairs(tmp_path / "long_itm_val.json", rows))["pairs"] == 8
    )


def test_what_cannot_be_scored_is_refused(zero: Path, bundle: Path, tmp_path: Path) -> None:
    val = f"{zero / 'ICM'}#val"
    same = write_pairs(tmp_path / "a" / "long_itm_val.json", [pair(1, "裙", 1), pair(2, "鞋", 1)])
    unknown = write_pairs(tmp_path / "b" / "long_itm_val.json", [pair(99, "裙", 1)])
    blank = write_pairs(tmp_path / "c" / "long_itm_val.json", [pair(1, " ", 1), pair(2, "鞋", 0)])
    single = write_pairs(tmp_path / "d" / "long_itm_val.json", [pair(1, "裙", 1), pair(1, "鞋", 0)])
    queries = write_file(tmp_path / "q.jsonl", '{"query_id": 1, "query_text": "裙"}\n')
    for words, message in (
        ((bundle, "--pairs", same), "all 2 pairs match; both labels are needed"),
        ((bundle, "--pairs", unknown), "none of the 1 images of"),
        ((bundle, "--pairs", blank), "line 1: "),
        ((bundle, "--pairs", single), "all pairs are of one image; give --threshold-from"),
        ((bundle, "--pairs", queries), "line 1: item_id missing"),
        ((bundle, "--pairs", zero / IMAGES), "holds no labelled pairs"),
        ((bundle, "--pairs", val, "--top-k", "5", "--slices"), "--top-k, --slices: not allowed"),
        ((queries, "--pairs", val), "--pairs needs a bundle"),
        ((bundle, "--answers", val, "--threshold-from", val), "needs --pairs"),
        ((bundle,), "give either --answers (correct items) or --pairs"),
    ):
        result = invoke(*words)
        assert result.exit_code == 1, words
        assert message in result.output, result.output


def test_a_bundle_of_texts_is_refused(zero: Path, tiny_model: Path, tmp_path: Path) -> None:
    texts = write_file(tmp_path / "texts.jsonl", '{"text_id": "img1", "text": "裙"}\n')
    build(BuildSpec(str(texts), str(tiny_model)), tmp_path / "b", NoProgress())
    result = invoke(tmp_path / "b", "--pairs", f"{zero / 'ICM'}#val")
    assert result.exit_code == 1
    assert "holds pairs with images, and the bundle holds texts" in result.output
