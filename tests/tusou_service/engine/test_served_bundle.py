"""The service on a real bundle: a small cn_clip model and an index built by the indexer."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from urllib.parse import quote

import pytest
from drawing import image_bytes, image_line
from fastapi.testclient import TestClient
from tusou_indexer.build import BuildSpec, build
from tusou_service.factory import make_parts
from tusou_service.http.app import create_app
from tusou_service.settings import Settings

from tests.tusou_service.test_server import run_tusou
from tusou.cli.progress import NoProgress
from tusou.core.files import write_file
from tusou.encoders.openvino.precision_file import MeasuredPrecision
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query


def publish(root: Path, model: Path, first: int) -> str:
    """Index 40 images, with ids from `first` on, into the bundle; return the version."""
    pool = root.parent / f"pool-{first}.tsv"
    pool.write_bytes(b"".join(image_line(first + n, first + n) for n in range(40)))
    return build(BuildSpec(str(pool), str(model), workers=1), root, NoProgress()).version


@pytest.fixture(scope="module")
def two_versions(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    root = tmp_path_factory.mktemp("served") / "bundle"
    return root, root / publish(root, tiny_model, 100), root / publish(root, tiny_model, 500)


@pytest.fixture
def bundle(two_versions: tuple[Path, ...]) -> Path:
    """The bundle with its first version current."""
    root, first, _ = two_versions
    (root / "CURRENT").write_text(first.name)
    return root


@pytest.fixture
def real(bundle: Path) -> Iterator[TestClient]:
    settings = Settings(bundle=bundle, device="cpu")
    parts = make_parts(settings, None)
    with TestClient(create_app(parts.running, settings)) as client:
        assert client.portal
        client.portal.call(parts.engine.versions.loaded)
        yield client


@pytest.mark.parametrize("mode", ["split", "shadow"])
def test_two_bundles_behind_one_service(
    two_versions: tuple[Path, ...], bundle: Path, tmp_path: Path, mode: str
) -> None:
    second = tmp_path / "second"
    shutil.copytree(bundle, second)
    (second / "CURRENT").write_text(two_versions[2].name)
    settings = Settings(bundle=bundle, ab_bundle=second, ab_mode=mode, ab_share=1, device="cpu")
    parts = make_parts(settings, None)
    assert parts.experiment
    app = create_app(parts.running, settings, experiment=parts.experiment)
    with TestClient(app) as client:
        assert client.portal
        for engine in parts.experiment.engines:
            client.portal.call(engine.versions.loaded)
        headers = {"X-User-Key": "user-1", "X-Request-Timeout-Ms": "20000"}
        answer = client.post("/search", json={"query": "红色碎花裙"}, headers=headers)
        answered, arm = (1, "a") if mode == "shadow" else (2, "b")
        assert answer.headers["x-arm"] == arm
        assert answer.json()["index_version"] == two_versions[answered].name
        image = {**headers, "Content-Type": "image/jpeg"}
        seen = client.post("/search/image", content=image_bytes(507), headers=image)
        assert (seen.json()["item_ids"][0] == 507) is (mode == "split")
        compared = 'tusou_shadow_queries_total{result="compared"} 2.0'
        while mode == "shadow" and compared not in client.get("/metrics").text:
            sleep(0.01)
        result = client.post("/admin/reload").json()
        assert (result["status"], result["b"]["status"]) == ("unchanged", "unchanged")
        assert result["b"]["index_version"] == two_versions[2].name


def test_returns_the_results_of_the_pipeline(real: TestClient, bundle: Path) -> None:
    hits = (
        SearchPipeline.open(bundle, device="cpu").search([Query.of_text("红色碎花裙", 5)]).hits[0]
    )
    answer = real.post("/search", json={"query": "红色碎花裙", "top_k": 5}).json()
    assert answer["item_ids"] == list(hits.item_ids)
    assert answer["scores"] == pytest.approx(hits.scores, abs=1e-5)
    assert answer["scores"] == sorted(answer["scores"], reverse=True)


def test_a_repeated_query_has_the_same_results_and_counts_as_cached(real: TestClient) -> None:
    first, again = (real.post("/search", json={"query": "红色 碎花裙"}).json() for _ in "ab")
    assert (first.pop("took_ms"), again.pop("took_ms")) > (0, 0)
    assert first == again
    assert 'tusou_cached_queries_total{arm="a"} 1.0' in real.get("/metrics").text


def test_returns_the_stored_bytes_of_an_image(real: TestClient) -> None:
    response = real.get("/items/107/image")
    assert response.content == image_bytes(107)
    assert response.headers["content-type"] in {"image/jpeg", "image/png"}
    assert real.get("/items/0107/image").status_code == 404


def test_an_indexed_image_finds_itself_and_its_item_finds_others(real: TestClient) -> None:
    headers = {"Content-Type": "image/jpeg", "X-Request-Timeout-Ms": "30000"}
    image = image_bytes(107)
    by_bytes = real.post("/search/image?top_k=5", content=image, headers=headers).json()
    assert by_bytes["item_ids"][0] == 107
    assert by_bytes["scores"][0] == pytest.approx(1, abs=1e-3)
    by_item = real.post("/search", json={"item_id": 107, "top_k": 4}).json()
    assert by_item["item_ids"] == by_bytes["item_ids"][1:]
    assert real.get("/readyz").json()["images"] == "ready"


def test_info_shows_by_which_times_auto_chose(
    real: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert real.get("/info").json()["precision_measured"] == []  # a small tower
    times = {"openvino": "2026.4.1", "cores": 2, "fp32": {"1 text": 9.0}, "bf16": {"1 text": 6.0}}
    measured = (MeasuredPrecision.model_validate(times),)
    monkeypatch.setattr(SearchPipeline, "measured", property(lambda _: measured))
    info = real.get("/info").json()
    expected = {"model": info["model"], "precision": "bf16", **times}
    assert info["precision_measured"] == [expected]


def test_info_shows_how_the_index_was_made(real: TestClient) -> None:
    info = real.get("/info").json()
    assert info["item_count"] == 40
    assert (info["precision"], info["manifest"]["build"]["precision"]) == ("fp32", "fp32")
    assert info["manifest"]["model"]["dim"] == 64
    assert info["manifest"]["index"]["factory"] == "Flat"
    assert len(info["sample_item_ids"]) == len(set(info["sample_item_ids"])) == 12
    for item_id in info["sample_item_ids"]:
        assert real.get(f"/items/{item_id}").status_code == 200
    scores = info["random_scores"]
    assert scores["image"] == scores["item"]
    assert max(scores["text"], scores["item"]) < 1
    assert "files" not in info["manifest"]
    assert "path" not in info["manifest"]["source"]
    assert "location" not in info["manifest"]["model"]


def test_reloads_the_version_of_current(real: TestClient, two_versions: tuple[Path, ...]) -> None:
    root, first, second = two_versions
    write_file(root / "CURRENT", second.name.encode())
    result = real.post("/admin/reload").json()
    assert result == {
        "status": "swapped",
        "index_version": second.name,
        "previous_version": first.name,
    }
    answer = real.post("/search", json={"query": "裙", "top_k": 1000}).json()
    assert sorted(answer["item_ids"]) == [*range(500, 540)]


@pytest.mark.parametrize("name", ["vectors.npy", "index.bin", "ids.txt", "manifest.json"])
def test_a_damaged_version_is_not_served(
    real: TestClient, two_versions: tuple[Path, ...], tmp_path: Path, name: str
) -> None:
    root, first, second = two_versions
    file, copy = second / name, tmp_path / name
    shutil.copy(file, copy)
    write_file(root / "CURRENT", second.name.encode())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    try:
        response = real.post("/admin/reload")
    finally:
        shutil.copy(copy, file)
    assert (response.status_code, response.json()["code"]) == (409, "corrupt_bundle")
    assert real.get("/readyz").json()["index_version"] == first.name


@pytest.mark.parametrize("current", ["", "nowhere", "../../etc", "0" * 16])
def test_an_invalid_current_is_refused(real: TestClient, bundle: Path, current: str) -> None:
    (bundle / "CURRENT").write_text(current)
    response = real.post("/admin/reload")
    assert (response.status_code, response.json()["code"]) == (409, "corrupt_bundle")
    assert real.post("/search", json={"query": "裙"}).status_code == 200


def test_another_model_ends_the_process_with_78(bundle: Path) -> None:
    result = run_tusou("serve", str(bundle), "--port", "0", "--model", "demo", "--device", "cpu")
    assert result.returncode == 78
    assert "incompatible_bundle" in result.stderr


def test_follows_current(two_versions: tuple[Path, ...], bundle: Path) -> None:
    root, first, second = two_versions
    settings = Settings(bundle=bundle, follow_s=0.02, device="cpu")
    parts = make_parts(settings, None)
    app = create_app(lambda: parts.running(settings.follow_s), settings)
    with TestClient(app) as client:
        assert client.portal
        client.portal.call(parts.engine.versions.loaded)

        def served() -> str:
            version: str = client.get("/readyz").json()["index_version"]
            return version

        def failed() -> bool:
            return 'tusou_reloads_total{result="failed"} 1.0' in client.get("/metrics").text

        assert served() == first.name
        write_file(root / "CURRENT", second.name.encode())
        while served() != second.name:
            sleep(0.01)
        write_file(root / "CURRENT", b"0" * 16)
        while not failed():
            sleep(0.01)
        sleep(0.2)  # ten periods
        assert failed()  # still 1
        assert served() == second.name
        (root / "CURRENT").write_text(first.name)
        while served() != first.name:
            sleep(0.01)


def test_ids_with_marks_of_flickr8k_cn_are_served(tiny_model: Path, tmp_path: Path) -> None:
    ids = [f"10_693b.jpg#zhc#{number}" for number in range(5)]
    rows = [json.dumps({"text_id": item_id, "text": f"一只狗{item_id[-1]}"}) for item_id in ids]
    (tmp_path / "texts.jsonl").write_text("\n".join(rows), "utf-8")
    spec = BuildSpec(str(tmp_path / "texts.jsonl"), str(tiny_model), workers=1)
    build(spec, tmp_path / "b", NoProgress())
    settings = Settings(bundle=tmp_path / "b", device="cpu")
    parts = make_parts(settings, None)
    with TestClient(create_app(parts.running, settings)) as client:
        assert client.portal
        client.portal.call(parts.engine.versions.loaded)
        found = client.post("/search", json={"query": "一只狗", "top_k": 5}).json()["item_ids"]
        assert sorted(found) == ids
        item = client.get(f"/items/{quote(ids[3], safe='')}").json()
        assert item == {"item_id": ids[3], "text": "一只狗3"}
        body = {"item_id": ids[3], "top_k": 4, "exclude": [ids[0]]}
        alike = client.post("/search", json=body).json()["item_ids"]
        assert set(alike) <= {*ids} - {ids[0]}
        assert len(alike) >= 3
