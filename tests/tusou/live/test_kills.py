"""Processes that are killed while they change or compact a bundle."""

from pathlib import Path

import pytest

from benchmarks.reliability import kill_live

pytestmark = pytest.mark.services


def test_no_acknowledged_change_is_lost_and_no_removed_item_comes_back(tmp_path: Path) -> None:
    figures = kill_live.run(tmp_path / "b", kills=16, seed=7)
    assert figures["kills"] == 16
    assert figures["acknowledged"] > 12
    faults = ("acknowledged_changes_lost", "removed_items_found", "changes_applied_in_part")
    assert [figures[fault] for fault in faults] == [0, 0, 0]
