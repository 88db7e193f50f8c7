"""`tusou doctor`: each finding says what to do."""

import json
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from tusou.cli import environment_checks
from tusou.cli.doctor import doctor
from tusou.cli.environment_checks import CHECKS, EnvironmentFinding, run_check


def examine(folder: Path, *options: str) -> Result:
    app = Typer()
    app.command()(doctor)
    return CliRunner().invoke(app, ["--folder", str(folder), *options])


def findings(name: str, folder: Path) -> list[EnvironmentFinding]:
    check = next(check for check in CHECKS if check.__name__ == name)
    return list(run_check(check, folder))


def test_this_environment_is_right(tmp_path: Path) -> None:
    done = examine(tmp_path)
    assert done.exit_code == 0
    for subject in (
        "Python",
        "PyTorch",
        "FAISS",
        "processor",
        "weights",
        "hubs",
        "locale",
        "proxies",
    ):
        assert f"{subject}: " in done.stdout
    rows = json.loads(examine(tmp_path, "--json").stdout)
    assert {row["state"] for row in rows} <= {"ok", "warning"}


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    done = examine(missing)
    assert done.exit_code == 1
    assert f"write rights: {missing}: No such file or directory" in done.stdout
    assert "-> choose another folder" in done.stdout


def test_another_version_of_a_pinned_package_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = environment_checks._version
    monkeypatch.setattr(
        environment_checks, "_version", lambda name: "1.0" if name == "torch" else real(name)
    )
    torch = next(row for row in findings("_packages", tmp_path) if row.subject == "torch")
    assert (torch.state, torch.text) == ("error", "1.0, and Tusou needs 2.12.0")
    assert torch.remedy == "pip install 'torch==2.12.0'"


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "nonsense://x", "http://[::1"])
def test_a_proxy_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    [row] = findings("_proxies", tmp_path)
    assert (row.state, row.remedy) == ("warning", "correct or unset all_proxy")


def test_an_encoding_without_chinese_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda do_setlocale: "ANSI_X3.4-1968")
    [row] = findings("_locale", tmp_path)
    assert row.state == "warning"
    assert "PYTHONUTF8=1" in row.remedy


def test_a_check_that_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    def broken(folder: Path):
        raise OSError("no /proc here")
        yield

    assert list(run_check(broken, tmp_path)) == [
        EnvironmentFinding("warning", "broken", "could not be checked: no /proc here")
    ]
