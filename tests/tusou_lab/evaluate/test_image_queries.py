"""Evaluation of a bundle of texts: images are the queries."""

import json
import re
from pathlib import Path

import pytest
from drawing import image_bytes
from tusou_indexer.build import BuildSpec, build
from tusou_lab.evaluate.search_bundle import BundleSearchSpec, search_bundle

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


def write_judgments(tmp_path: Path, *item_ids: int) -> Path:
    rows = ({"image_id": item_id, "text_ids": [1, 2]} for item_id in item_ids)
    path = tmp_path / "judgments.tr.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_results_are_those_of_the_pipeline(bundle: Path, pool: Path, tmp_path: Path) -> None:
    judgments = read_judgments(write_judgments(tmp_path, 1104, 1001, 1250))
    run = search_bundle(bundle, judgments, BundleSearchSpec(5, pool=pool)).run
    pipeline = SearchPipeline.open(bundle)
    pipeline.load_image_tower()
    image = open_image(image_bytes(104))
    [part] = pipeline.encode_images(to_pixels(image, pipeline.transform)[None])
    [hits] = pipeline.search([Query((part,), 5)]).hits
    assert run.rankings[1104] == hits.item_ids  # type: ignore[union-attr]
    assert list(run.rankings) == [1104, 1001, 1250]
    assert run.header is not None
    assert run.header.direction == "image_to_text"


def test_every_missing_image_is_reported(bundle: Path, pool: Path, tmp_path: Path) -> None:
    judgments = read_judgments(write_judgments(tmp_path, 5, 1001, 6))
    with pytest.raises(BadDataset, match=r"problems: 2\n.*:1.*not among the images of(.|\n)*:3"):
        search_bundle(bundle, judgments, BundleSearchSpec(5, pool=pool))
    with pytest.raises(BadDataset, match="--pool"):
        search_bundle(bundle, judgments, BundleSearchSpec(5))


class Noticed(NoProgress):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)


def test_an_unreadable_image_leaves_the_other_rows_their_results(
    bundle: Path, pool: Path, tmp_path: Path
) -> None:
    path = tmp_path / "imgs.tsv"
    path.write_bytes(pool.read_bytes() + b"7\tAAAA\n")
    judgments = read_judgments(write_judgments(tmp_path, 1104, 7))
    progress = Noticed()
    spec = BundleSearchSpec(5, pool=path)
    run = search_bundle(bundle, judgments, spec, progress=progress).run
    whole = read_judgments(write_judgments(tmp_path, 1104))
    expected = search_bundle(bundle, whole, BundleSearchSpec(5, pool=pool)).run
    assert run.rankings[1104] == expected.rankings[1104]
    assert len(run.rankings[7]) == 5
    assert len(progress.notices) == 1
    assert re.search(r":2: query 7: not a readable image$", progress.notices[0])
    judgments = read_judgments(write_judgments(tmp_path, 7))
    with pytest.raises(BadDataset, match="not a readable image"):
        search_bundle(bundle, judgments, spec)


def test_a_bundle_of_images_is_refused(tiny_bundle: Path, pool: Path, tmp_path: Path) -> None:
    judgments = read_judgments(write_judgments(tmp_path, 1001))
    with pytest.raises(BadDataset, match="the bundle holds images"):
        search_bundle(tiny_bundle, judgments, BundleSearchSpec(5, pool=pool))
