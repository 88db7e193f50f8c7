"""Settings: environment, options, old and unknown names; no other module reads the environment."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from tusou_service.cli import serve
from tusou_service.settings import Settings, unknown_variables
from typer import Typer
from typer.testing import CliRunner

from tests.tusou_service.test_server import run_tusou


def test_an_option_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUSOU_PORT", "9000")
    monkeypatch.setenv("TUSOU_BUNDLE", "/data/bundle")
    monkeypatch.setenv("TUSOU_HOSTS", "a.example, B.example")
    monkeypatch.setenv("TUSOU_DEVICE", "")
    settings = Settings(port=9001)
    assert (settings.port, settings.bundle) == (9001, Path("/data/bundle"))
    assert settings.hosts == {"a.example", "b.example"}
    assert settings.device == "auto"


def test_defaults_are_local_and_bounded() -> None:
    settings = Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.max_body_bytes == 65536
    assert settings.max_connections == 2048
    assert settings.batching().max_waiting == 1024


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 70000),
        ("timeout_ms", 0),
        ("stall_s", 0),
        ("log_level", "loud"),
        ("hosts", "shop.example:8000"),  # it would match no request
        ("hosts", "https://shop.example"),
    ],
)
def test_invalid_values_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Settings(**{name: value})  # type: ignore[arg-type]


def test_unknown_variables_are_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUSOU_QUEUESIZE", "5")
    monkeypatch.setenv("TUSOU_QUEUE_SIZE", "5")
    monkeypatch.setenv("tusou_port", "8001")
    assert unknown_variables() == ["TUSOU_QUEUESIZE"]


def test_old_names_are_refused_with_the_new_ones() -> None:
    old = {"TUSOU_PICTURE_QUERIES": "off", "tusou_engine": "torch", "TUSOU_HTTP_PROCESSES": "2"}
    refused = run_tusou("serve", **old)
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [
        "TUSOU_PICTURE_QUERIES is now called TUSOU_IMAGE_QUERIES; rename it.",
        "tusou_engine is now called TUSOU_BACKEND; rename it.",
        "TUSOU_HTTP_PROCESSES is now called TUSOU_WORKERS; rename it.",
    ]


@pytest.mark.parametrize(
    "environment",
    [
        {"TUSOU_HOST": "0.0.0.0"},
        {"TUSOU_PUBLISH": "8000"},
        {"TUSOU_HOST": "0.0.0.0", "TUSOU_OPEN": "no"},
    ],
)
def test_other_machines_are_not_served_without_keys_or_a_word(environment: dict[str, str]) -> None:
    app = Typer()
    app.command()(serve)
    refused = CliRunner(env=environment).invoke(app, ["/nowhere"])
    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    for remedy in ("TUSOU_API_KEYS", "--api-keys", "127.0.0.1", "TUSOU_OPEN=yes"):
        assert remedy in line


@pytest.mark.parametrize(
    "environment",
    [
        {"TUSOU_HOST": "0.0.0.0", "TUSOU_OPEN": "yes"},
        {"TUSOU_HOST": "0.0.0.0", "TUSOU_PUBLISH": "[::1]:8000"},
    ],
)
def test_other_machines_are_served_when_that_is_meant(environment: dict[str, str]) -> None:
    started = run_tusou("serve", "/nowhere", TUSOU_PORT="0", **environment)
    assert started.returncode == 1
    assert "corrupt_bundle" in started.stderr


def test_no_other_module_reads_the_environment() -> None:
    root = Path(__file__).parents[2]
    # A shell passes the words that it completes in variables, pymilvus reads files into them, Ray
    # takes its switches from them; hubs of models have variables of their own, every verb and
    # its processes need one more of models, and nncf is silenced by one.
    allowed = {
        root / "service/tusou_service/settings.py",
        root / "tusou/cli/main.py",
        root / "tusou/core/remote_code.py",
        root / "tusou/encoders/hubs/settings.py",
        root / "tusou/encoders/openvino/calibrate.py",
        root / "tusou/indexes/milvus_server.py",
        root / "indexer/tusou_indexer/on_ray.py",
    }
    guilty = [
        path
        for package in ("tusou", "service", "indexer", "clients")
        for path in (root / package).rglob("*.py")
        if path not in allowed
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]
    assert guilty == []


def test_processes_import_nothing_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    for name in ("multiprocessing", "runpy", "service", "tusou_service"):
        (tmp_path / "here" / f"{name}.py").write_text("raise RuntimeError('a file of the user')")
    (tmp_path / "program.py").write_text(
        "import multiprocessing\n"
        "from tusou_service.settings import isolate_processes\n"
        "if __name__ == '__main__':\n"
        "    isolate_processes()\n"
        "    process = multiprocessing.get_context('spawn').Process(target=print)\n"
        "    process.start()\n"
        "    process.join()\n"
        "    raise SystemExit(process.exitcode)\n"
    )
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    command = [sys.executable, str(tmp_path / "program.py")]
    subprocess.run(command, cwd=tmp_path / "here", check=True)
