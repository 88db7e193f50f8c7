"""Bundles of texts: vectors, failures, interruption, and search by text and image."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.index.recall_probes import image_probes

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import Counts
from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import BadDataset, UnknownItem
from tusou.encoders import find_weights, load_text_encoder
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

pytestmark = pytest.mark.usefixtures("small_shards")
TEXTS = [f"第{number}件红色碎花吊带裙" for number in range(150)]


@pytest.fixture
def spec(tmp_path: Path, tiny_model: Path) -> BuildSpec:
    rows = [{"id": 500 + n, "text": text} for n, text in enumerate(TEXTS)]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return BuildSpec(str(path), str(tiny_model))


def test_every_item_has_the_vector_of_its_text_without_the_prompt(
    spec: BuildSpec, tmp_path: Path
) -> None:
    spec = replace(spec, prompt="商品：{query}")
    assert build(spec, tmp_path / "b", NoProgress()).counts == Counts(
        items=150, embedded=150, failed=0, truncated=0
    )
    bundle = Bundle.open(tmp_path / "b")
    encoder = load_text_encoder(find_weights(spec.model))
    alone = encoder.encode(encoder.prepare([TEXTS[77]]))[0]
    assert float(alone @ bundle.vectors[77]) > 0.99999
    assert (bundle.items, bundle.ids.at(77), bundle.text("577")) == ("texts", 577, TEXTS[77])
    with pytest.raises(UnknownItem, match="are texts"):
        bundle.image("577")


def test_bad_rows_are_listed_and_long_texts_counted(tiny_model: Path, tmp_path: Path) -> None:
    rows = ['{"id": 1, "text": "裙"}', "", '{"id": 1, "text": "鞋"}', '{"id": 2, "text": "  "}']
    rows.append(json.dumps({"id": 3, "text": "适合小个子女生" * 20}))
    (tmp_path / "t.jsonl").write_text("\n".join(rows))
    spec = BuildSpec(str(tmp_path / "t.jsonl"), str(tiny_model), max_bad="2")
    with pytest.raises(BadDataset, match="3 of 5 lines"):
        build(spec, tmp_path / "b", NoProgress())
    report = build(replace(spec, max_bad="3"), tmp_path / "b", NoProgress())
    assert report.counts == Counts(items=5, embedded=2, failed=3, truncated=1)
    failures = Bundle.open(tmp_path / "b").path("failures.jsonl").read_text().splitlines()
    assert [tuple(json.loads(line).values()) for line in failures] == [
        (2, None, "blank line"),
        (3, "1", "duplicate id"),
        (4, "2", "empty text"),
    ]


class Interrupted(NoProgress):
    """Stops the build once enough rows are encoded."""

    left = 100

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.left -= steps
        if self.left < 0:
            raise KeyboardInterrupt


def test_a_resumed_build_gives_the_same_version(spec: BuildSpec, tmp_path: Path) -> None:
    whole = build(spec, tmp_path / "whole", NoProgress())
    interrupted: Progress = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        build(spec, tmp_path / "cut", interrupted)
    resumed = build(spec, tmp_path / "cut", NoProgress())
    assert (resumed.version, resumed.encoded) == (whole.version, 150 - 64)
    assert build(spec, tmp_path / "cut", NoProgress()).encoded == 0


def test_a_text_that_has_changed_is_not_returned(spec: BuildSpec, tmp_path: Path) -> None:
    build(spec, tmp_path / "b", NoProgress())
    path = Path(spec.source)
    path.write_text(path.read_text()[7:])
    with pytest.raises(UnknownItem, match="has changed since indexing"):
        Bundle.open(tmp_path / "b").text("577")


def test_texts_are_searched_by_text_and_measured_with_images(
    spec: BuildSpec, tmp_path: Path
) -> None:
    build(replace(spec, index="IVF4,Flat"), tmp_path / "b", NoProgress())
    pipeline = SearchPipeline.open(tmp_path / "b")
    assert pipeline.search([Query.of_text(TEXTS[9], 1)]).hits[0].item_ids == (509,)
    pipeline.load_image_tower()
    probes = image_probes([find_weights(spec.model)])
    assert probes.shape == (200, 64)
    np.testing.assert_allclose(np.linalg.norm(probes, axis=1), 1, atol=1e-5)
    assert len({row.tobytes() for row in probes}) == 200
    assert pipeline.bundle.manifest.index.index_recall_at_10 is not None
