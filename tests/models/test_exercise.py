"""The Flickr8k exercise with a CLIP-shaped model and English captions, and its fine-tuning."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from drawing import image_bytes
from tusou_lab.run_commands import ToySize
from tusou_lab.walkthrough import flickr8k
from tusou_lab.walkthrough.exercise import ExerciseInputs

from tests.models.tiny_clip import save_tiny_clip
from tests.tusou_lab.walkthrough.test_exercises import InProcessRunner, rows, verbs

pytestmark = [pytest.mark.models, pytest.mark.timeout(900)]

COLOURS = ["red", "white", "black", "yellow"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 96 images, one of them a GIF called .jpg, with five captions each in one file."""
    root = tmp_path_factory.mktemp("flickr8k")
    (root / "images").mkdir()
    captions = []
    for number in range(97):
        name = f"{1000268201 + number}_{number:x}93b08cb0e.jpg"
        if number != 13:  # absent, as one is in the original
            form = "GIF" if number == 25 else "JPEG"
            (root / "images" / name).write_bytes(image_bytes(number, form=form))
        for count in range(5):
            colour = COLOURS[(number + count) % 4]
            text = f"A child in a {colour} dress with {number} dogs is at the {count} . stair"
            captions.append({"image": name, "caption": text})
    (root / "captions.json").write_text(json.dumps(captions))
    return root


def test_english_captions_in_both_directions_and_fine_tuned(data: Path, tmp_path: Path) -> None:
    model = save_tiny_clip(tmp_path / "clip")
    runner = InProcessRunner()
    (tmp_path / "run").mkdir()
    inputs = ExerciseInputs(ToySize(0, 0, 7), str(data), str(model))
    metrics, (page, twin) = flickr8k.run(tmp_path / "run", replace(inputs, epochs=1), runner)
    assert "a list of images, each with a caption; 485 captions of 97 images" in runner.lines[0]
    split = json.loads((tmp_path / "run" / "split" / "split.json").read_text())
    assert [part["items"] for part in split["splits"]] == [72, 12, 12]
    assert list(metrics) == [
        f"{direction}{suffix}"
        for suffix in ("", "_tuned")
        for direction in ("text_to_image", "image_to_text")
    ]
    header, *ranked = rows(tmp_path / "run" / "text_to_image.jsonl")
    assert (header["model"], len(ranked)) == ("clip", 12 * 5)
    report = twin.read_text("utf-8")
    assert report.startswith("# 英文图文检索实验报告")
    for absent in ("中文 RoBERTa", "商品", "应改用中文", "ViT-H-14"):
        assert absent not in report
    for present in ("CLIPModel", "a photo of {query}", "text_to_image_tuned（B）"):
        assert present in report
    assert page.exists()
    assert verbs("\n".join(runner.lines)).count("train") == 1
