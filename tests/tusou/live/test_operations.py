"""Random operations on a bundle with live changes, against a dict and brute force."""

from pathlib import Path

import pytest

from benchmarks.live_operations import bundle_run


@pytest.mark.parametrize("seed", range(3))
def test_random_operations_leave_no_difference(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusou.live.live_items._LEAST_DEAD_ROWS", 20)
    monkeypatch.setattr("tusou.live.attribute_rows._BLOCK", 16)
    with bundle_run(tmp_path / "b", items=60, seed=seed) as run:
        for _ in range(120):
            run.step()
        run.compare_items({*run.model.items})
        run.compare_search(None)
    assert +run.differences == {}
    assert {"upsert", "patch", "delete", "batch", "search", "filter"} <= {*run.counts}


def test_a_difference_is_counted(tmp_path: Path) -> None:
    with bundle_run(tmp_path / "b", items=20, seed=4) as run:
        run.model.items.pop("3.jpg")
        run.compare_search(None)
        run.compare_items({"3.jpg"})
    assert {*(+run.differences)} >= {"filter", "a removed item found", "item count"}
