"""Calibrated graphs are found by their digest, and by what they were calibrated with."""

from dataclasses import replace
from pathlib import Path

import pytest

from tusou.core.errors import BadModel, InvalidRequest
from tusou.encoders import Weights
from tusou.encoders.openvino.calibrated_graph import (
    GraphCalibration,
    find_calibrated,
    find_same,
    require_calibrated,
    store_calibrated,
)

RECORD = GraphCalibration(300, "c" * 64, "3.4.0", "2026.4.1")


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    return Weights(tmp_path / "model.pt", "model.pt", "a" * 64)


def graph(folder: Path, constants: bytes = b"numbers") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "graph.xml").write_bytes(b"<graph/>")
    (folder / "graph.bin").write_bytes(constants)
    return folder


@pytest.mark.parametrize("variant", ["", "0123abcd"])
def test_a_graph_is_found_by_its_digest_and_by_its_record(
    weights: Weights, tmp_path: Path, variant: str
) -> None:
    assert find_same(weights, RECORD, variant) is None
    digest = store_calibrated(weights, graph(tmp_path / "new"), RECORD, variant)
    folder = require_calibrated(weights, digest, variant)
    assert (folder / "graph.bin").read_bytes() == b"numbers"
    assert find_same(weights, RECORD, variant) == digest
    assert find_same(weights, RECORD, "ffffffff") is None
    for other in (
        replace(RECORD, images=299),
        replace(RECORD, pixels_sha256="d" * 64),
        replace(RECORD, nncf="3.5.0"),
        replace(RECORD, openvino="2027.0"),
    ):
        assert find_same(weights, other, variant) is None
    assert find_calibrated(replace(weights, digest="b" * 64), digest, variant) is None


def test_graphs_of_two_pools_stay_side_by_side(weights: Weights, tmp_path: Path) -> None:
    other = replace(RECORD, pixels_sha256="d" * 64)
    first = store_calibrated(weights, graph(tmp_path / "new"), RECORD)
    second = store_calibrated(weights, graph(tmp_path / "new", b"others"), other)
    assert first != second
    assert (find_same(weights, RECORD), find_same(weights, other)) == (first, second)


def test_a_damaged_graph_is_refused(
    weights: Weights, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digest = store_calibrated(weights, graph(tmp_path / "new"), RECORD)
    (require_calibrated(weights, digest) / "graph.bin").write_bytes(b"numberz")
    with pytest.raises(BadModel, match=f"copy .*{digest} from the machine that indexed"):
        require_calibrated(weights, digest)
    assert find_same(weights, RECORD) is None
    assert "damaged" in caplog.text


def test_a_folder_that_cannot_be_written_is_named(weights: Weights, tmp_path: Path) -> None:
    weights.path.with_name("model.pt.openvino").write_text("a file in the way")
    with pytest.raises(InvalidRequest, match=r"keeps its graph in .*model\.pt\.openvino"):
        store_calibrated(weights, graph(tmp_path / "new"), RECORD)
