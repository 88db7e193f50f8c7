"""Evaluating a bundle of texts: images ask, and every text that is true of one is correct."""

import json
from pathlib import Path

import pytest
from drawing import image_bytes
from tusou_indexer.build import BuildSpec, build
from tusou_lab.evaluate.search_bundle import LiveSpec, search_bundle

from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset
from tusou.evaluation.judgments import read_judgments
from tusou.images.preprocess import open_image, to_pixels
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query


@pytest.fixture(scope="module")
def bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    rows = ({"text_id": n, "text": f"第{n}件红色碎花吊带裙"} for n in range(30))
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build(BuildSpec(str(folder / "texts.jsonl"), str(tiny_model)), folder / "b", NoProgress())
    return folder / "b"


def answers(tmp_path: Path, *item_ids: int) -> Path:
    rows = ({"image_id": item_id, "text_ids": [1, 2]} for item_id in item_ids)
    path = tmp_path / "asked.tr.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_it_finds_what_the_pipeline_finds_for_that_image(
    bundle: Path, pool: Path, tmp_path: Path
) -> None:
    asked = read_judgments(answers(tmp_path, 1104, 1001, 1250))
    run = search_bundle(bundle, asked, LiveSpec(5, images=pool)).run
    pipeline = SearchPipeline.open(bundle)
    pipeline.load_image_tower()
    image = open_image(image_bytes(104))
    [part] = pipeline.encode_images(to_pixels(image, pipeline.image_size)[None])
    [hits] = pipeline.search([Query((part,), 5)]).hits
    assert run.rankings[1104] == hits.item_ids  # type: ignore[union-attr]
    assert list(run.rankings) == [1104, 1001, 1250]
    assert run.header is not None
    assert run.header.direction == "image_to_text"


def test_images_that_are_not_there_are_all_told(bundle: Path, pool: Path, tmp_path: Path) -> None:
    asked = read_judgments(answers(tmp_path, 5, 1001, 6))
    with pytest.raises(BadDataset, match=r"problems: 2\n.*:1.*not among the images of(.|\n)*:3"):
        search_bundle(bundle, asked, LiveSpec(5, images=pool))
    with pytest.raises(BadDataset, match="--pool"):
        search_bundle(bundle, asked, LiveSpec(5))


def test_a_bundle_of_images_has_no_texts_to_find(
    tiny_bundle: Path, pool: Path, tmp_path: Path
) -> None:
    asked = read_judgments(answers(tmp_path, 1001))
    with pytest.raises(BadDataset, match="the bundle holds images"):
        search_bundle(tiny_bundle, asked, LiveSpec(5, images=pool))
