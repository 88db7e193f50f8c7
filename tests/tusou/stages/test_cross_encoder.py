"""Reranking by a cross-encoder: its scores, its tokens, its deadline, and files it refuses."""

from collections.abc import Iterator
from itertools import count
from math import inf
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from drawing import image_bytes
from tusou_indexer import stages_cli
from tusou_indexer.build import BuildSpec, build
from typer import Typer
from typer.testing import CliRunner

from tusou.bundle.bundle import Bundle
from tusou.bundle.stages import CROSS_ENCODER, IMAGE_TOKENS
from tusou.cli.progress import NoProgress
from tusou.core.errors import IncompatibleBundle
from tusou.encoders import find_weights
from tusou.encoders.cross.checkpoint import read_cross, save_cross
from tusou.encoders.cross.network import CrossNetwork
from tusou.encoders.cross.towers import ImageTokens, TextTokens, new_shape
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import ImageTransform
from tusou.retrieval.compatibility import find_bundle_weights
from tusou.retrieval.item_view import VersionView
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query
from tusou.stages import cross_encoder
from tusou.stages.base import RerankTask, StageContext
from tusou.stages.cross_encoder import CrossEncoderReranker

PHOTOS = 20
TEXT = "红色连衣裙"


@pytest.fixture(scope="module")
def file(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a cross-encoder with random weights, whose head is not zero."""
    weights = find_weights(str(tiny_model))
    torch.manual_seed(8)
    network = CrossNetwork(new_shape(weights, layers=2))
    torch.nn.init.normal_(network.head.weight, std=0.3)
    path = tmp_path_factory.mktemp("cross") / "重排.pt"
    save_cross(path, network, weights.digest, {"epoch": 1})
    return path


@pytest.fixture(scope="module")
def photos(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "photos").mkdir()
    for seed in range(PHOTOS):
        (folder / "photos" / f"包-{seed}.jpg").write_bytes(image_bytes(seed))
    spec = BuildSpec(str(folder / "photos"), str(tiny_model), workers=1, device="cpu")
    build(spec, folder / "bundle", NoProgress())
    return folder / "bundle"


def stages(*arguments: object) -> str:
    app = Typer()
    app.command()(stages_cli.stages)
    result = CliRunner().invoke(app, [*map(str, arguments)])
    return result.output if result.exit_code == 0 else f"exit {result.exit_code}: {result.output}"


@pytest.fixture(scope="module", params=["stored", "computed"])
def reranked(
    request: pytest.FixtureRequest,
    photos: Path,
    file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return a bundle that reranks, with stored tokens and without."""
    out = tmp_path_factory.mktemp(request.param) / "bundle"
    copytree(photos, out)
    assert "exit" not in stages(out, "--rerank", f"cross:{file}", "--tokens", request.param)
    return out


def open_stage(root: Path) -> CrossEncoderReranker:
    bundle = Bundle.open(root)
    weights = find_bundle_weights(bundle.manifest)
    record = bundle.manifest.stages.rerank
    assert record is not None
    return CrossEncoderReranker.open(StageContext(bundle, weights, "cpu", "auto", "auto"), record)


def make_task(root: Path, keys: tuple[int, ...] = tuple(range(PHOTOS))) -> RerankTask:
    bundle = Bundle.open(root)
    cosines = np.linspace(0.1, 0.0, len(keys), dtype=np.float32)
    vector = bundle.vector_file.rows([0])[0]
    return RerankTask((TEXT,), vector, keys, cosines, VersionView(bundle))


def scores_of(parts: Iterator[tuple[object, object]]) -> dict[int, float]:
    return {
        position: score
        for positions, scores in parts
        for position, score in zip(positions, scores, strict=True)  # type: ignore[call-overload]
    }


def test_scores_are_those_of_the_network(reranked: Path, file: Path, tiny_model: Path) -> None:
    task = make_task(reranked)
    scores = scores_of(open_stage(reranked).score(task, inf))
    weights = find_weights(str(tiny_model))
    network = read_cross(file).network
    pixels = [
        to_pixels(open_image(task.items.image(f"包-{n}")[0]), ImageTransform(32))
        for n in range(PHOTOS)
    ]
    images = ImageTokens(weights, network.shape.pool, "cpu").encode(np.stack(pixels))
    (text,) = TextTokens(weights, "cpu").encode([TEXT])
    ids = [str(task.items.id_at(key)) for key in task.keys]
    order = [int(item_id.removeprefix("包-")) for item_id in ids]
    with torch.inference_mode():
        expected = network(
            network.project_text(text[None]),
            network.project_images(images[order])[None],
            torch.from_numpy(task.cosines)[None],
        )[0].sigmoid()
    found = [scores[position] for position in range(PHOTOS)]
    # Tokens are kept in half precision.
    np.testing.assert_allclose(found, expected.numpy(), atol=5e-3)
    assert np.ptp(found) > 0.2


def test_tokens_are_stored_only_where_asked_for(reranked: Path) -> None:
    bundle = Bundle.open(reranked)
    record = bundle.manifest.stages.rerank
    assert record is not None
    kept = record.options["tokens"] == "stored"
    assert (IMAGE_TOKENS in bundle.manifest.files) == kept
    assert CROSS_ENCODER in bundle.manifest.files
    if kept:
        assert record.options["bytes_per_item"] == 2 * 5 * 128
        header = bundle.path(IMAGE_TOKENS).stat().st_size - PHOTOS * 2 * 5 * 128
        assert 0 < header < 200


def test_the_deadline_ends_it_between_two_rounds(
    reranked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = open_stage(reranked)
    task = make_task(reranked)
    stage.warm_up()
    assert scores_of(stage.score(task, -inf)) == {}
    clock = count()
    monkeypatch.setattr(cross_encoder, "monotonic", lambda: float(next(clock)))
    scores = scores_of(stage.score(task, 1.0))
    assert 0 < len(scores) < PHOTOS
    assert list(scores) == list(range(len(scores)))


def test_an_item_whose_image_is_gone_has_no_score(photos: Path, file: Path, tmp_path: Path) -> None:
    source, root = tmp_path / "photos", tmp_path / "bundle"
    source.mkdir()
    for seed in range(3):
        (source / f"{seed}.jpg").write_bytes(image_bytes(seed))
    model = Bundle.open(photos).manifest.model.location
    build(BuildSpec(str(source), model, workers=1, device="cpu"), root, NoProgress())
    (source / "1.jpg").unlink()
    assert "bad_dataset" in stages(root, "--rerank", f"cross:{file}")
    assert "exit" not in stages(root, "--rerank", f"cross:{file}", "--tokens", "computed")
    task = make_task(root, (0, 1, 2))
    gone = [str(task.items.id_at(key)) for key in task.keys].index("1")
    assert sorted(scores_of(open_stage(root).score(task, inf))) == [
        p for p in range(3) if p != gone
    ]


def test_a_query_without_a_text_has_no_scores(reranked: Path) -> None:
    task = make_task(reranked)
    without = RerankTask((), task.vector, task.keys, task.cosines, task.items)
    assert scores_of(open_stage(reranked).score(without, inf)) == {}


def test_a_search_is_in_the_order_of_the_scores(reranked: Path, photos: Path) -> None:
    hits = SearchPipeline.open(reranked).search([Query.of_text(TEXT, 10)]).hits[0]
    before = SearchPipeline.open(photos).search([Query.of_text(TEXT, PHOTOS)]).hits[0]
    assert hits.rerank == "complete"
    assert hits.item_ids != before.item_ids[:10]
    cosines = dict(zip(before.item_ids, before.scores, strict=True))
    keys = tuple(Bundle.open(reranked).key(str(item_id)) for item_id in before.item_ids)
    task = RerankTask(
        (TEXT,),
        np.zeros(64, np.float32),
        keys,
        np.array(list(cosines.values()), np.float32),
        VersionView(Bundle.open(reranked)),
    )
    scores = scores_of(open_stage(reranked).score(task, inf))
    best = sorted(range(PHOTOS), key=lambda position: -scores[position])
    assert list(hits.item_ids) == [before.item_ids[position] for position in best[:10]]


def test_files_that_do_not_belong_are_refused(photos: Path, file: Path, tmp_path: Path) -> None:
    root = Path(copytree(photos, tmp_path / "bundle"))
    other = tmp_path / "other.pt"
    save_cross(other, read_cross(file).network, "b" * 64, {})
    assert "bad_model: other.pt was trained over" in stages(root, "--rerank", f"cross:{other}")
    assert "invalid_request" in stages(root, "--rerank", "cross:missing.pt")
    assert "this version" in stages(
        root, "--rerank", f"cross:{Bundle.open(root).manifest.model.location}"
    )
    assert Bundle.open(root).version == Bundle.open(photos).version


def test_a_bundle_whose_model_was_replaced_is_refused(reranked: Path) -> None:
    bundle = Bundle.open(reranked)
    weights = find_bundle_weights(bundle.manifest)
    record = bundle.manifest.stages.rerank
    assert record is not None
    demo = type(weights)((find_weights("demo"),))
    with pytest.raises(IncompatibleBundle, match="--no rerank"):
        CrossEncoderReranker.open(StageContext(bundle, demo, "cpu", "auto", "auto"), record)


def test_the_stage_is_taken_away_with_its_files(reranked: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    assert "exit" not in stages(reranked, "--no", "rerank", "--out", out)
    files = Bundle.open(out).manifest.files
    assert not {CROSS_ENCODER, IMAGE_TOKENS} & set(files)
