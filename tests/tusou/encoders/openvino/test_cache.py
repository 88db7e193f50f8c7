"""A converted graph is found again by the digest of its weights, whole or not at all."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tusou.encoders import Weights
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


def constants(found: Path | None) -> bytes:
    assert found is not None
    return (found / "graph.bin").read_bytes()


def test_what_was_kept_is_found_for_its_tower_and_precision_alone(weights: Weights) -> None:
    assert find_cached(weights, "text", "bf16") is None
    store(weights, "text", "bf16", writing(b"numbers"))
    assert constants(find_cached(weights, "text", "bf16")) == b"numbers"
    for tower, precision in (("image", "bf16"), ("text", "int8")):
        assert find_cached(weights, tower, precision) is None  # type: ignore[arg-type]


def test_other_weights_in_the_same_file_get_their_own_and_the_old_one_goes(
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
def test_a_damaged_one_is_made_again_and_said_so(
    weights: Weights, caplog: pytest.LogCaptureFixture, name: str, content: bytes | None
) -> None:
    store(weights, "text", "bf16", writing(b"numbers"))
    found = find_cached(weights, "text", "bf16")
    assert found is not None
    damaged = found / name
    damaged.unlink() if content is None else damaged.write_bytes(content)
    assert find_cached(weights, "text", "bf16") is None
    assert "damaged" in caplog.text
    store(weights, "text", "bf16", writing(b"numbers"))
    assert constants(find_cached(weights, "text", "bf16")) == b"numbers"


def test_what_a_killed_process_left_is_no_graph_and_in_nobodys_way(weights: Weights) -> None:
    store(weights, "text", "bf16", writing(b"numbers"))
    found = find_cached(weights, "text", "bf16")
    assert found is not None
    home = found.parent
    found.rename(home / ".new")
    (home / ".new" / "digests.json").unlink()
    assert find_cached(weights, "text", "bf16") is None
    store(weights, "text", "bf16", writing(b"again"))
    assert constants(find_cached(weights, "text", "bf16")) == b"again"
    assert not (home / ".new").exists()


def test_processes_at_once_write_it_once(weights: Weights) -> None:
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


def test_where_nothing_can_be_written_the_log_says_what_it_costs(
    weights: Weights, caplog: pytest.LogCaptureFixture
) -> None:
    weights.path.with_name("model.pt.openvino").write_text("a file in the way")
    with caplog.at_level(logging.WARNING):
        store(weights, "text", "bf16", writing(b"numbers"))
    assert "every start converts them again" in caplog.text
    assert find_cached(weights, "text", "bf16") is None


def test_a_full_disk_leaves_nothing_that_looks_whole(
    weights: Weights, caplog: pytest.LogCaptureFixture
) -> None:
    def write(folder: Path) -> None:
        (folder / "graph.xml").write_bytes(b"<gr")
        raise OSError(28, "No space left on device")

    store(weights, "text", "bf16", write)
    assert "No space left on device" in caplog.text
    assert find_cached(weights, "text", "bf16") is None


def test_the_record_lists_every_file(weights: Weights) -> None:
    store(weights, "text", "bf16", writing(b"numbers"))
    found = find_cached(weights, "text", "bf16")
    assert found is not None
    record = json.loads((found / "digests.json").read_bytes())
    assert sorted(record) == ["graph.bin", "graph.xml"]
