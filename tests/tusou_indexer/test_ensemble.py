"""Bundles of several models: their vectors, what they reuse, and options that do not fit."""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import image_bytes
from tiny_models import save_tiny_model
from tusou_indexer import build as build_module
from tusou_indexer.build import BuildReport, BuildSpec, build
from tusou_indexer.build_inputs import open_source
from tusou_indexer.build_models import parse_weights
from tusou_indexer.encode_contents import ContentEncoder
from tusou_indexer.plan import make_plan, scan_source
from tusou_indexer.shard_worker import ShardWorker, WorkerRecipe, take_rows

from tests.tusou_indexer.test_image_reuse import Recorder
from tusou import open_bundle
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.arrays import Vectors
from tusou.core.errors import BadDataset, CorruptBundle, InvalidRequest
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder, resolve_encoder
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import ImageTransform

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("quick_builds")]

WEIGHTS = (0.6, 0.4)
SCALES = np.sqrt(np.array(WEIGHTS, np.float32))
TEMPLATES = ("这是一个商品搜索：{query}", "{query}", "图片描述：{query}")


def write_images(path: Path, seeds: range) -> Path:
    rows = [f"{n}.jpg#zhc#0\t{base64.b64encode(image_bytes(n)).decode()}\n" for n in seeds]
    path.write_text("".join(rows) + "坏图\tAAAA\n" + rows[0].replace("#0", "#1"))
    return path


@pytest.fixture
def spec(tmp_path: Path, tiny_model: Path, second_model: Path) -> BuildSpec:
    source = write_images(tmp_path / "imgs.tsv", range(20))
    return BuildSpec(
        str(source),
        str(tiny_model),
        device="cpu",
        workers=1,
        max_bad="1",
        more_models=(str(second_model),),
        weights=WEIGHTS,
    )


def alone(spec: BuildSpec, number: int) -> BuildSpec:
    return replace(spec, model=spec.models[number], more_models=(), weights=())


def run(spec: BuildSpec, out: Path, *, force: bool = False) -> BuildReport:
    return build(spec, out, NoProgress(), force=force)


def vectors(out: Path) -> Vectors:
    bundle = Bundle.open(out)
    bundle.verify()
    bundle.check_parts()
    return np.array(bundle.vectors)


def test_vectors_stand_side_by_side_scaled_by_the_roots_of_the_weights(
    spec: BuildSpec, tmp_path: Path
) -> None:
    report = run(spec, tmp_path / "both")
    assert (report.counts.embedded, report.counts.failed, report.encoded) == (21, 1, 21)
    parts = []
    for number in range(2):
        run(alone(spec, number), tmp_path / str(number))
        parts.append(vectors(tmp_path / str(number)) * SCALES[number])
    np.testing.assert_array_equal(vectors(tmp_path / "both"), np.concatenate(parts, axis=1))
    model = Bundle.open(tmp_path / "both").manifest.model
    assert (model.name, model.dim) == ("0.6*tiny.pt+0.4*second.pt", 64 + 48)
    assert [(each.name, each.dim, each.weight) for each in model.members] == [
        ("tiny.pt", 64, 0.6),
        ("second.pt", 48, 0.4),
    ]
    assert [each.sha256 for each in model.members] == [find_weights(m).digest for m in spec.models]


def test_bundles_of_each_model_give_the_ensemble_without_encoding(
    spec: BuildSpec, tmp_path: Path
) -> None:
    for number in range(2):
        run(alone(spec, number), tmp_path / str(number))
    both = replace(spec, reuse=(tmp_path / "0", tmp_path / "1"))
    taken, new = run(both, tmp_path / "taken"), run(spec, tmp_path / "new")
    assert (taken.encoded, taken.reused, new.encoded) == (0, 21, 21)
    assert taken.version == new.version  # the digest of every byte
    one = Recorder()
    half = build(replace(spec, reuse=(tmp_path / "0",)), tmp_path / "half", one)
    assert half.version == new.version
    assert [stage for stage in one.stages if stage[0] == "encoding"] == [
        ("encoding", 22, 21),  # the image that is none is tried again
        ("encoding", 22, 0),
    ]
    assert one.notices == []


def test_a_larger_source_encodes_what_is_new(spec: BuildSpec, tmp_path: Path) -> None:
    run(spec, tmp_path / "b")
    assert run(spec, tmp_path / "b").encoded == 0
    larger = replace(spec, source=str(write_images(tmp_path / "more.tsv", range(25))))
    again, new = run(larger, tmp_path / "b"), run(larger, tmp_path / "new")
    assert (again.encoded, again.reused, new.encoded) == (5, 21, 26)
    assert again.version == new.version


def test_other_weights_scale_stored_vectors_anew(spec: BuildSpec, tmp_path: Path) -> None:
    first = run(spec, tmp_path / "b")
    other = replace(spec, weights=(1, 3))
    again, new = run(other, tmp_path / "b"), run(other, tmp_path / "new")
    assert (again.encoded, new.encoded) == (0, 21)
    np.testing.assert_allclose(vectors(tmp_path / "b"), vectors(tmp_path / "new"), atol=1e-7)
    manifest = Bundle.open(tmp_path / "b").manifest
    assert [member.weight for member in manifest.model.members] == [0.25, 0.75]
    assert [(part.version, part.items) for part in manifest.reused] == [(first.version, 21)]
    back = run(alone(spec, 1), tmp_path / "b")
    assert back.encoded == 0
    np.testing.assert_allclose(
        vectors(tmp_path / "b"), vectors(tmp_path / "new")[:, 64:] / np.sqrt(0.75), atol=1e-6
    )


def test_a_stopped_build_goes_on_with_the_model_that_was_encoding(
    spec: BuildSpec, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(spec, tmp_path / "b", Recorder(stop_after=34))  # 22 of the first, then three batches
    resumed = Recorder()
    report = build(spec, tmp_path / "b", resumed)
    assert resumed.stages == [("encoding", 22, 22), ("encoding", 22, 8)]
    assert report.version == run(spec, tmp_path / "new").version


def test_a_worker_elsewhere_encodes_the_part_of_its_model(spec: BuildSpec, tmp_path: Path) -> None:
    spec = replace(spec, views="flip")
    run(spec, tmp_path / "b")
    manifest, expected = Bundle.open(tmp_path / "b").manifest, vectors(tmp_path / "b")
    weights = [find_weights(model) for model in spec.models]
    towers = [resolve_encoder(each, "image", "cpu") for each in weights]
    inputs = build_module._inputs(spec, towers, manifest.model.sha256)
    plan = make_plan(tmp_path / "plan", inputs, scan_source(open_source(inputs)))
    good = np.setdiff1d(np.arange(len(plan)), [20])  # the image that is none
    parts = []
    for member, tower in zip(manifest.model.members, towers, strict=True):
        recipe = WorkerRecipe(
            member.location,
            member.sha256,
            tower.backend,
            "cpu",
            tower.precision,
            member.weight,
        )
        worker = ShardWorker(recipe, inputs, "images")
        worker.load(1)
        batches = worker.encode(take_rows(plan, good))
        assert worker._images is not None
        worker._images[1].close()
        parts.append(np.concatenate([batch.vectors for batch in batches]))
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights": (0.6,)}, "1 numbers for 2 --model"),
        ({"weights": (0.5, 0.3, 0.2)}, "3 numbers for 2 --model"),
        ({"weights": (0.6, -0.4)}, "above 0"),
        ({"weights": (1.0, 0.0)}, "above 0"),
        ({"weights": (0.0, 0.0)}, "above 0"),
        ({"weights": (0.6, float("nan"))}, "above 0"),
        ({"weights": (0.6, float("inf"))}, "above 0"),
        ({"weights": (1.0, 1e-9)}, "changes nothing"),
        ({"more_models": (), "weights": (1.0,)}, "several models"),
        ({"views": "mirror"}, "'mirror' is unknown"),
        ({"prompt": "{query}", "prompt_file": Path("templates.txt")}, "not both"),
        ({"precision": "fp32,fp32,fp32"}, "2 models"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    spec: BuildSpec, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        run(replace(spec, **changes), tmp_path / "b")  # type: ignore[arg-type]
    assert not (tmp_path / "b" / "CURRENT").exists()


@pytest.mark.parametrize("text", ["", "a", "0.6;0.4", "0.6,"])
def test_weights_are_numbers(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"0\.6,0\.4"):
        parse_weights(text)


def test_a_model_is_given_once(spec: BuildSpec, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="the same weights twice"):
        run(replace(spec, more_models=(spec.model,)), tmp_path / "b")


def test_models_of_different_sizes_of_images_get_each_its_own(
    spec: BuildSpec, tmp_path: Path
) -> None:
    large = save_tiny_model(tmp_path / "large.pt", 2, image_resolution=48)
    both = replace(spec, more_models=(str(large),), views="flip")
    run(both, tmp_path / "b")
    manifest = Bundle.open(tmp_path / "b").manifest
    assert (manifest.model.image_size, manifest.transform) == (
        48,
        (ImageTransform(32), ImageTransform(48)),
    )
    parts = []
    for model, side, weight in ((spec.model, 32, 0.6), (str(large), 48, 0.4)):
        encoder = load_image_encoder(find_weights(model), "cpu", "fp32", "torch")
        pixels = to_pixels(open_image(image_bytes(7)), ImageTransform(side))
        mean = encoder.encode(np.ascontiguousarray([pixels, pixels[:, ::-1]])).mean(axis=0)
        parts.append(np.sqrt(weight) * mean / np.linalg.norm(mean))
    expected = np.concatenate(parts)
    np.testing.assert_allclose(vectors(tmp_path / "b")[7], expected, atol=1e-5)
    with open_bundle(tmp_path / "b") as opened:
        np.testing.assert_allclose(opened.encode_images([image_bytes(7)])[0], expected, atol=1e-5)
        np.testing.assert_allclose(
            ContentEncoder(manifest).encode([image_bytes(7)])[0], expected, atol=1e-5
        )


def test_a_manifest_whose_members_do_not_make_the_model_is_refused(
    spec: BuildSpec, tmp_path: Path
) -> None:
    report = run(spec, tmp_path / "b")
    path = tmp_path / "b" / report.version / "manifest.json"
    text = path.read_text()
    assert text.count('"weight":0.6') + text.count('"weight": 0.6') == 1
    path.write_text(text.replace("0.6\n", "0.5\n"))
    with pytest.raises(CorruptBundle, match="wrong value at model"):
        Bundle.open(tmp_path / "b")


def test_the_mean_over_templates_is_recorded_and_golden(spec: BuildSpec, tmp_path: Path) -> None:
    file = tmp_path / "templates.txt"
    file.write_text("\n".join(TEMPLATES))
    run(replace(spec, prompt_file=file), tmp_path / "b")
    bundle = Bundle.open(tmp_path / "b")
    assert (bundle.manifest.prompt, bundle.manifest.prompts) == (None, TEMPLATES)
    texts, golden = bundle.golden
    start = 0
    for model, weight in zip(spec.models, WEIGHTS, strict=True):
        filled = [
            load_text_encoder(find_weights(model), "cpu", template, "fp32", "torch")
            for template in TEMPLATES
        ]
        mean = np.mean([each.encode(each.prepare(texts)) for each in filled], axis=0)
        unit = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        part = golden[:, start : start + filled[0].dim]
        np.testing.assert_allclose(part, unit * np.sqrt(weight), atol=1e-5)
        start += filled[0].dim
    one = tmp_path / "one.txt"
    one.write_text(TEMPLATES[0])
    run(replace(spec, prompt_file=one), tmp_path / "one")
    assert Bundle.open(tmp_path / "one").manifest.prompt == TEMPLATES[0]
    file.write_text("".join(f"第{n}类：{{query}}\n" for n in range(101)))
    with pytest.raises(InvalidRequest, match="at most 100"):
        run(replace(spec, prompt_file=file), tmp_path / "c")
    file.write_text("{query}{query}\n")
    with pytest.raises(BadDataset, match="exactly once"):
        run(replace(spec, prompt_file=file), tmp_path / "c")


@pytest.mark.parametrize(
    ("views", "count"), [("flip", 2), ("five_crops", 5), ("flip,five_crops", 10)]
)
def test_an_image_vector_is_the_mean_over_its_views(
    spec: BuildSpec, tmp_path: Path, views: str, count: int
) -> None:
    spec = alone(spec, 0)
    plain = run(spec, tmp_path / "b")
    report = run(replace(spec, views=views), tmp_path / "b")
    assert (report.encoded, plain.encoded) == (21, 21)  # the vectors of another build
    assert Bundle.open(tmp_path / "b").manifest.views == views
    encoder = load_image_encoder(find_weights(spec.model), "cpu", "fp32", "torch")
    side = 37 if "five_crops" in views else 32
    image = to_pixels(open_image(image_bytes(7)), ImageTransform(side))
    corners = [(0, 0), (0, 5), (5, 0), (5, 5), (2, 2)] if side == 37 else [(0, 0)]
    crops = [image[top : top + 32, left : left + 32] for top, left in corners]
    crops += [crop[:, ::-1] for crop in crops] if "flip" in views else []
    assert len(crops) == count
    mean = encoder.encode(np.ascontiguousarray(crops)).mean(axis=0)
    expected = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(vectors(tmp_path / "b")[7], expected, atol=1e-5)


def test_texts_have_no_views(text_spec: BuildSpec, second_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="for images"):
        run(replace(text_spec, views="flip"), tmp_path / "b")
    both = replace(text_spec, more_models=(str(second_model),))
    run(both, tmp_path / "b")
    assert vectors(tmp_path / "b").shape == (20, 112)
