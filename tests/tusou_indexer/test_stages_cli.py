"""`tusou stages`: shows and changes the stages of a bundle."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from calibrated import add_calibration, make_calibration
from drawing import image_line
from tusou_indexer.stages_cli import stages as change_stages
from typer.testing import CliRunner, Result

from tusou.bundle.bundle import Bundle, current_version
from tusou.bundle.revise import revise
from tusou.bundle.stages import CALIBRATION, RerankRecord, Stages
from tusou.retrieval.local import open_bundle

pytestmark = pytest.mark.services

NONE = dict.fromkeys(Stages.model_fields)
RERANK = RerankRecord(
    kind="endpoint", model="http://127.0.0.1:1/v1", sha256=None, depth=10, deadline_ms=50, weight=1
)


@pytest.fixture
def root(three_bundles: list[Path], tmp_path: Path) -> Path:
    shutil.copytree(three_bundles[0], tmp_path / "bundle")
    return tmp_path / "bundle"


def run(*words: object) -> Result:
    app = typer.Typer()
    app.command()(change_stages)
    return CliRunner().invoke(app, list(map(str, words)))


def stages(*words: object) -> dict[str, object]:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    shown: dict[str, object] = json.loads(result.stdout)["stages"]
    return shown


def test_without_options_it_shows_the_stages_and_publishes_nothing(root: Path) -> None:
    before = current_version(root)
    assert stages(root) == NONE
    assert run(root).stdout.startswith(f"{root}: version {before}\nhub ")
    assert current_version(root) == before


def test_feedback_is_added_and_taken_away(root: Path) -> None:
    before = current_version(root)
    with open_bundle(root) as opened:
        plain = opened.search("红色裙", 20)
    assert stages(root, "--feedback", "3:0.5")["feedback"] == {"items": 3, "weight": 0.5}
    with open_bundle(root) as opened:
        moved = opened.search("红色裙", 20)
        assert moved.adjusted_scores
        assert opened.search("红色裙", 20, adjust=False).item_ids == plain.item_ids
    assert stages(root, "--no", "feedback") == NONE
    assert current_version(root) == before  # the same bytes as before, and so the same name


def test_a_calibration_is_taken_away_with_the_stages_that_it_was_fitted_with(
    root: Path, tmp_path: Path
) -> None:
    content = make_calibration(Bundle.open(root).dim)
    add_calibration(root, content, tmp_path)
    assert stages(root)["calibration"] is not None
    assert stages(root, "--feedback", "2:0.5")["calibration"] is None
    assert CALIBRATION not in Bundle.open(root).manifest.files
    add_calibration(root, content, tmp_path)
    assert stages(root, "--no", "calibration")["feedback"] is not None
    opened = Bundle.open(root)
    assert (opened.manifest.stages.names, opened.calibration) == (("feedback",), None)
    opened.verify()


def test_another_bundle_takes_them(root: Path, tmp_path: Path) -> None:
    before = current_version(root)
    assert stages(root, "--out", tmp_path / "other", "--feedback", "1:2")["feedback"]
    assert current_version(root) == before
    assert Bundle.open(tmp_path / "other").manifest.stages.names == ("feedback",)


def test_limits_of_a_reranker_are_changed(root: Path) -> None:
    revise(root, lambda manifest: manifest.model_copy(update={"stages": Stages(rerank=RERANK)}))
    words = ["--rerank-depth", 20, "--rerank-weight", "0.25", "--rerank-deadline-ms", 80]
    record = RERANK.model_copy(update={"depth": 20, "weight": 0.25, "deadline_ms": 80})
    assert stages(root, *words)["rerank"] == record.model_dump()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--feedback", "3"], "give ITEMS:WEIGHT"),
        (["--feedback", "0:1"], "give ITEMS:WEIGHT"),
        (["--feedback", "3:nan"], "give ITEMS:WEIGHT"),
        (["--feedback", "3:-1"], "give ITEMS:WEIGHT"),
        (["--rerank-weight", "0.5"], "has no reranker"),
    ],
)
def test_what_fits_no_stage_is_refused(root: Path, words: list[object], message: str) -> None:
    before = current_version(root)
    result = run(root, *words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert current_version(root) == before


def test_an_unknown_stage_is_a_wrong_usage(root: Path) -> None:
    result = run(root, "--no", "magic")
    assert result.exit_code == 2
    assert "hub, softmax, feedback, rerank" in " ".join(result.stderr.split())


def test_a_build_says_which_stages_it_does_not_make(
    root: Path, tiny_model: Path, tmp_path: Path
) -> None:
    run(root, "--feedback", "3:0.5")
    pool = tmp_path / "pool.tsv"
    pool.write_bytes(b"".join(image_line(n, n) for n in range(40)))
    command = [sys.executable, "-m", "tusou", "index", str(pool), "--out", str(root)]
    command += ["--model", str(tiny_model), "--device", "cpu"]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "had stages that this one lacks: feedback" in first.stderr
    assert stages(root) == NONE
    again = subprocess.run([*command, "--force"], capture_output=True, text=True, check=True)
    assert "stages" not in again.stderr
