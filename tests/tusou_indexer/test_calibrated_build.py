"""Builds in int8-calibrated: their sample, their graph, and what serves them."""

import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from drawing import image_bytes, image_line
from tusou_indexer import calibrate_models as module
from tusou_indexer.build import BuildSpec, build

from tests.tusou_indexer.test_build import Counted
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadModel, IncompatibleBundle, InvalidRequest, MissingDependency
from tusou.encoders.calibrated_precision import graph_of
from tusou.images.preprocess import open_image, to_pixels
from tusou.retrieval.pipeline import SearchPipeline

pytest.importorskip("openvino")

needs_nncf = pytest.mark.skipif(find_spec("nncf") is None, reason="nncf is not installed")
pytestmark = pytest.mark.usefixtures("small_shards")


@pytest.fixture(autouse=True)
def small_sample_with_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tusou.encoders.devices.has_int8", lambda: True)
    monkeypatch.setattr(module, "SAMPLE", 16)


@pytest.fixture
def spec(tiny_model: Path, tmp_path: Path) -> BuildSpec:
    shutil.copy(tiny_model, tmp_path / "tiny.pt")
    pool = tmp_path / "images.tsv"
    pool.write_bytes(b"".join(image_line(1000 + seed, seed) for seed in range(100)))
    return BuildSpec(
        str(pool),
        str(tmp_path / "tiny.pt"),
        index="Flat",
        device="cpu",
        workers=1,
        precision="int8-calibrated",
    )


def graphs(spec: BuildSpec) -> list[Path]:
    return sorted(Path(f"{spec.model}.openvino").glob("image-int8-calibrated-*"))


def precision_of(out: Path) -> str:
    return str(Bundle.open(out).manifest.build["precision"])


@pytest.mark.services
@needs_nncf
def test_a_killed_build_gives_the_same_bytes_and_a_changed_pool_keeps_its_graph(
    spec: BuildSpec, tmp_path: Path
) -> None:
    out, again = tmp_path / "bundle", tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        build(spec, out, Counted(stop_after=70))
    (graph,) = graphs(spec)
    report = build(spec, out, NoProgress())
    assert 0 < report.encoded < 100
    assert precision_of(out) == f"int8-calibrated:{graph.name.rpartition('-')[2]}"
    shutil.rmtree(f"{spec.model}.openvino")
    assert build(spec, again, NoProgress()).version == report.version
    assert graphs(spec) == [graph]
    assert build(spec, out, NoProgress()).encoded == 0

    with Path(spec.source).open("ab") as file:
        file.write(image_line(2000, 200))
    assert build(spec, out, NoProgress()).encoded == 1
    assert graphs(spec) == [graph]
    build(spec, out, NoProgress(), force=True)  # calibrates with the pool as it is now
    assert len(graphs(spec)) == 2
    assert precision_of(out) != precision_of(again)
    reusing = replace(spec, reuse=(again,))
    assert build(reusing, tmp_path / "third", NoProgress()).encoded == 1
    assert precision_of(tmp_path / "third") == precision_of(again)


@pytest.mark.services
@needs_nncf
def test_a_service_encodes_images_with_the_graph_of_the_bundle_or_refuses(
    spec: BuildSpec, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    build(spec, out, NoProgress())
    pipeline = SearchPipeline.open(out, device="cpu", precision="int8-calibrated")
    assert (pipeline.precision, pipeline.backend) == ("int8", "openvino")
    pipeline.load_image_tower()
    bundle = Bundle.open(out)
    pixels = np.stack([to_pixels(open_image(image_bytes(7)), pipeline.transform)])
    (part,) = pipeline.encode_images(pixels)
    vectors = np.asarray(bundle.vectors)
    np.testing.assert_allclose(part.vector, vectors[bundle.ids.key("1007")], atol=1e-6)
    graph = graph_of(precision_of(out))
    (folder,) = (each for each in graphs(spec) if each.name.endswith(str(graph)))
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(BadModel, match=f"copy .*{graph} from the machine that indexed"):
        SearchPipeline.open(out, device="cpu", precision="int8-calibrated")
    assert SearchPipeline.open(out, device="cpu").precision == "fp32"


def test_a_service_refuses_it_for_a_bundle_in_another_precision(
    spec: BuildSpec, tmp_path: Path
) -> None:
    build(replace(spec, precision="fp32"), tmp_path / "bundle", NoProgress())
    with pytest.raises(IncompatibleBundle, match="encoded in fp32, not in int8-calibrated"):
        SearchPipeline.open(tmp_path / "bundle", device="cpu", precision="int8-calibrated")


def test_texts_are_refused(spec: BuildSpec, tmp_path: Path) -> None:
    source = tmp_path / "texts.jsonl"
    source.write_text('{"text_id": 1, "text": "红色碎花裙"}\n', encoding="utf-8")
    with pytest.raises(InvalidRequest, match="the items are texts: use int8"):
        build(replace(spec, source=str(source)), tmp_path / "bundle", NoProgress())


def test_a_processor_without_vnni_is_refused_before_the_pool_is_read(
    spec: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusou.encoders.devices.has_int8", lambda: False)
    monkeypatch.setattr(module, "scan_source", None)
    with pytest.raises(InvalidRequest, match="VNNI or AMX"):
        build(spec, tmp_path / "bundle", NoProgress())


def test_without_nncf_the_extra_is_named_before_the_pool_is_read(
    spec: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusou.encoders.openvino.calibrate.find_spec", lambda _: None)
    monkeypatch.setattr(module, "scan_source", None)
    with pytest.raises(MissingDependency, match=r"install tusou\[nncf\]"):
        build(spec, tmp_path / "bundle", NoProgress())
