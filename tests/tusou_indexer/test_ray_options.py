"""Options of encoding on Ray, where ray is not installed."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tusou_indexer.build import BuildSpec, build

from tusou.cli.progress import NoProgress
from tusou.core.errors import InvalidRequest, MissingDependency


def test_without_ray_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, text_spec: BuildSpec, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "tusou_indexer.on_ray", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    with pytest.raises(MissingDependency, match=r"the package 'ray': install tusou\[ray\]"):
        build(replace(text_spec, on="ray"), tmp_path / "bundle", NoProgress())
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"on": "spark"}, r"--on 'spark': give local or ray"),
        ({"ray_address": "auto"}, r"--ray-address belongs to --on ray"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    text_spec: BuildSpec, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        build(replace(text_spec, **changes), tmp_path / "bundle", NoProgress())
