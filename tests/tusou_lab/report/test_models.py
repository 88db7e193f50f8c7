"""Models in a report: their training, their towers and preprocessing, and texts unlike theirs."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from drawing import image_line
from tusou_indexer.build import BuildSpec, build
from tusou_lab.convert_model.run import convert_model
from tusou_lab.report.inputs import ReportSpec
from tusou_lab.report.run import make_report
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec

from tusou.cli.progress import NoProgress

pytestmark = pytest.mark.services


def test_training_is_shown_with_its_curves(tiny_model: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "tuned.pt"
    write_toy(data, [SplitSize("train", 24, 24), SplitSize("valid", 20, 12)], seed=1)
    train(str(data), TrainSpec(str(tiny_model), 2, 8, 1e-3, 0.0, 0, "fp32"), out, device="cpu")
    build(BuildSpec(f"{data}#valid", str(out), workers=1), tmp_path / "bundle", NoProgress())
    spec = ReportSpec((tmp_path / "bundle",), (f"{data}#valid",), examples=1)
    make_report(spec, tmp_path / "page.html")
    markdown = (tmp_path / "page.md").read_text("utf-8")
    section = markdown[markdown.index(" 训练\n") : markdown.index(" 结果\n")]
    assert "在 24 条查询上训练 2 轮而来" in section
    assert "| batch_size | 8 |" in section
    assert "training_1_loss.svg" in section
    assert "training_1_recall.svg" in section
    assert "training_1_temperature.svg" in section
    assert re.search(r"^\| [12] ✓ \| \d", section, re.M)
    assert re.search(r"^\| 0 \| – \| \d", section, re.M)
    assert "| train | 24 |" in markdown  # the sizes of the splits
    assert "--model tuned.pt" in markdown
    assert "tusou train" not in markdown[markdown.index("改进方向") :]


def test_a_training_that_kept_its_start_is_described(tiny_model: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "tuned.pt"
    write_toy(data, [SplitSize("train", 8, 8), SplitSize("valid", 20, 12)], seed=1)
    train(str(data), TrainSpec(str(tiny_model), 1, 8, 0.0, 0.0, 0, "fp32"), out, device="cpu")
    build(BuildSpec(f"{data}#valid", str(out), workers=1), tmp_path / "bundle", NoProgress())
    spec = ReportSpec((tmp_path / "bundle",), (f"{data}#valid",), examples=1)
    make_report(spec, tmp_path / "page.html")
    markdown = (tmp_path / "page.md").read_text("utf-8")
    assert "没有一轮在验证集上胜过原模型" in markdown
    assert re.search(r"^\| 0 ✓ \| – \| \d", markdown, re.M)


def test_english_captions_are_pointed_out(tiny_bundle: Path, tmp_path: Path) -> None:
    row = {"query_id": 1, "query_text": "A dog runs on the beach .", "item_ids": [1000]}
    (tmp_path / "answers.jsonl").write_text(json.dumps(row) + "\n")
    run = json.dumps(row | {"item_ids": list(range(1000, 1010))})
    (tmp_path / "run.jsonl").write_text(run + "\n")
    spec = ReportSpec((tmp_path / "run.jsonl",), (str(tmp_path / "answers.jsonl"),), (tiny_bundle,))
    make_report(spec, tmp_path / "page.html")
    markdown = (tmp_path / "page.md").read_text("utf-8")
    assert "**注意：100% 的查询是英文" in markdown
    assert "中文 RoBERTa" in markdown
    make_report(replace(spec, bundles=()), tmp_path / "alone.html")  # of an unknown model
    markdown = (tmp_path / "alone.md").read_text("utf-8")
    assert "**注意：100% 的查询是英文" not in markdown
    assert "RoBERTa" not in markdown
    assert "ViT-L-14" not in markdown


def test_a_chinese_clip_that_crops_is_called_one(
    tiny_bundle: Path, tiny_model: Path, tmp_path: Path
) -> None:
    convert_model(str(tiny_model), "transformers", tmp_path / "model")
    settings = tmp_path / "model" / "preprocessor_config.json"
    crop = {"size": {"shortest_edge": 40}, "do_center_crop": True}
    settings.write_text(json.dumps(json.loads(settings.read_bytes()) | crop))
    images = tmp_path / "MR_test_imgs.tsv"
    images.write_bytes(b"".join(image_line(number, number) for number in range(12)))
    spec = BuildSpec(str(images), str(tmp_path / "model"), workers=1)
    build(spec, tmp_path / "bundle", NoProgress())
    row = {"query_id": 1, "query_text": "红裙", "item_ids": [1]}
    (tmp_path / "answers.jsonl").write_text(json.dumps(row) + "\n")
    spec_of_report = ReportSpec((tmp_path / "bundle",), (str(tmp_path / "answers.jsonl"),))
    make_report(spec_of_report, tmp_path / "page.html")
    markdown = (tmp_path / "page.md").read_text("utf-8")
    assert "中文 RoBERTa" in markdown
    assert "图片缩放为正方形" not in markdown
    assert "图片按模型自己的方式缩放、裁剪" in markdown
