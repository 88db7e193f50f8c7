"""Storing and finding of converted towers by the digest of their weights."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tusou.encoders import Weights
from tusou.encoders.open_clip_architecture import with_architecture
from tusou.encoders.openvino.cache import find_cached, store


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    return Weights(tmp_path / "model.pt", "model.pt", "a" * 64)


def writing(content: bytes, calls: list[bytes] | None = None) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "graph.xml").write_bytes(b"<graph/>")
        (folder / "graph.bin").write_bytes(content)
        if calls is not None:
            calls.append(content)

    return write


def constants(folder: Path | None) -> bytes:
    assert folder is not None
    return (folder / "graph.bin").read_bytes()


def test_a_stored_tower_is_found_by_its_tower_and_precision(weights: Weights) -> None:
    assert find_cached(weights, "text", "bf16") is None
    store(weights, "text", "bf16", writing(b"numbers"))
    assert constants(find_cached(weights, "text", "bf16")) == b"numbers"
    for tower, precision in (("image", "bf16"), ("text", "int8")):
        assert find_cached(weights, tower, precision) is None  # type: ignore[arg-type]


def test_other_weights_in_the_same_file_replace_the_stored_tower(
    weights: Weights,
) -> None:
    store(weights, "text", "bf16", writing(b"old"))
    store(weights, "image", "bf16", writing(b"images"))
    trained = Weights(weights.path, weights.name, "b" * 64)
    assert find_cached(trained, "text", "bf16") is None
    store(trained, "text", "bf16", writing(b"new"))
    assert constants(find_cached(trained, "text", "bf16")) == b"new"
    assert find_cached(weights, "text", "bf16") is None
    assert constants(find_cached(weights, "image", "bf16")) == b"images"


def test_a_precision_does_not_replace_another_whose_name_begins_with_its_own(
    weights: Weights,
) -> None:
    store(weights, "image", "int8-calibrated", writing(b"calibrated"), "0a" * 8)
    store(weights, "image", "int8-calibrated", writing(b"of another pool"), "0b" * 8)
    store(weights, "image", "int8", writing(b"numbers"))
    found = find_cached(weights, "image", "int8-calibrated", "0a" * 8)
    assert constants(found) == b"calibrated"
    trained = Weights(weights.path, weights.name, "b" * 64)
    store(trained, "image", "int8-calibrated", writing(b"new"), "0c" * 8)
    assert find_cached(weights, "image", "int8-calibrated", "0a" * 8) is None
    assert constants(find_cached(weights, "image", "int8")) == b"numbers"


def test_each_architecture_over_one_file_has_its_own_tower(weights: Weights) -> None:
    models = [with_architecture(weights, name) for name in ("ViT-B-32", "ViT-B-32-quickgelu")]
    for model in models:
        assert find_cached(model, "text", "bf16") is None
        store(model, "text", "bf16", writing(f"{model.open_clip}".encode()))
    for model in models:
        assert constants(find_cached(model, "text", "bf16")) == f"{model.open_clip}".encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("graph.bin", b"numberz", id="flipped-bit"),
        pytest.param("graph.bin", b"num", id="cut"),
        pytest.param("graph.bin", None, id="constants-gone"),
        pytest.param("graph.xml", b"", id="graph-empty"),
        pytest.param("digests.json", b"", id="record-empty"),
        pytest.param("digests.json", b"{}", id="record-of-nothing"),
        pytest.param("digests.json", b"[1]", id="record-of-something-else"),
        pytest.param("digests.json", None, id="record-gone"),
    ],
)
def test_a_damaged_tower_is_logged_and_stored_again(
    weights: Weights, caplog: pytest.LogCaptureFixture, name: str, content: bytes | None
) -> None:
    store(weights, "text", "bf16", writing(b"numbers"))
    folder = find_cached(weights, "text", "bf16")
    assert folder is not None
    damaged = folder / name
    damaged.unlink() if content is None else damaged.write_bytes(content)
    assert find_cached(weights, "text", "bf16") is None
    assert "damaged" in caplog.text
    store(weights, "text", "bf16", writing(b"numbers"))
    assert constants(find_cached(weights, "text", "bf16")) == b"numbers"


def test_files_of_a_killed_process_are_replaced(weights: Weights) -> None:
    store(weights, "text", "bf16", writing(b"numbers"))
    folder = find_cached(weights, "text", "bf16")
    assert folder is not None
    home = folder.parent
    folder.rename(home / ".new")
    (home / ".new" / "digests.json").unlink()
    assert find_cached(weights, "text", "bf16") is None
    store(weights, "text", "bf16", writing(b"again"))
    assert constants(find_cached(weights, "text", "bf16")) == b"again"
    assert not (home / ".new").exists()


def test_concurrent_processes_write_once(weights: Weights) -> None:
    calls: list[bytes] = []
    threads = [
        threading.Thread(target=store, args=(weights, "text", "bf16", writing(b"numbers", calls)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [b"numbers"]


def test_a_read_only_folder_is_logged(weights: Weights, caplog: pytest.LogCaptureFixture) -> None:
    weights.path.with_name("model.pt.openvino").write_text("a file in the way")
    with caplog.at_level(logging.WARNING):
        store(weights, "text", "bf16", writing(b"numbers"))
    assert "every start converts them again" in caplog.text
    assert find_cached(weights, "text", "bf16") is None


def test_a_full_disk_leaves_no_stored_tower(
    weights: Weights, caplog: pytest.LogCaptureFixture
) -> None:
    def write(folder: Path) -> None:
        (folder / "graph.xml").write_bytes(b"<gr")
        raise OSError(28, "No space left on device")

    store(weights, "text", "bf16", write)
    assert "No space left on device" in caplog.text
    assert find_cached(weights, "text", "bf16") is None


def test_the_digests_list_every_file(weights: Weights) -> None:
    store(weights, "text", "bf16", writing(b"numbers"))
    folder = find_cached(weights, "text", "bf16")
    assert folder is not None
    digests = json.loads((folder / "digests.json").read_bytes())
    assert sorted(digests) == ["graph.bin", "graph.xml"]
