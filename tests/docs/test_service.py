"""The pages about the service name every setting, option, call, metric, error and exit code."""

import inspect
import re
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts
from tusou_service import cli, shutdown
from tusou_service.http.app import create_app
from tusou_service.http.errors import PROBLEM_TYPES
from tusou_service.observability.metrics import Metrics
from tusou_service.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
API, CONFIGURATION, OPERATIONS = (
    (DOCS / f"{name}.md").read_text("utf-8") for name in ("api", "configuration", "operations")
)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described_with_its_default(name: str) -> None:
    rows = [
        row for row in CONFIGURATION.splitlines() if row.startswith(f"| `TUSOU_{name.upper()}`")
    ]
    assert len(rows) == 1
    default = Settings.model_fields[name].default
    if default not in (None, frozenset()):
        shown = str(default).lower() if isinstance(default, bool) else f"{default}"
        assert f"| `{shown}` |" in rows[0]


def test_every_option_of_serve_is_described() -> None:
    options = [name for name in inspect.signature(cli.serve).parameters if name != "bundle"]
    for option in options:
        variable = f"| `TUSOU_{option.upper()}` | `--{option.replace('_', '-')}` |"
        assert variable in CONFIGURATION


def test_every_error_is_described_with_its_status() -> None:
    described = dict(re.findall(r"^\| `([a-z_]+)` \| ([0-9]{3}) \|", API, re.MULTILINE))
    assert described == {kind.code: str(meaning.status) for kind, meaning in PROBLEM_TYPES.items()}


def test_every_call_is_described() -> None:
    app = create_app(lambda: pytest.fail("not entered"), Settings())
    calls = {
        f"{method} {context.path.replace(':path', '')}"
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
        if method != "HEAD"
    }
    assert "POST /search" in calls
    assert [call for call in calls if f"`{call}`" not in API] == []


def test_every_metric_is_described() -> None:
    exposed = re.findall(r"^# TYPE (tusou_\w+) ", Metrics().expose().decode(), re.MULTILINE)
    names = {name for name in exposed if not name.endswith("_created")}
    described = set(re.findall(r"^\| `(tusou_\w+)", OPERATIONS, re.MULTILINE))
    assert described == names


def test_every_exit_code_is_described() -> None:
    codes = {value for name, value in vars(shutdown).items() if name.startswith("EXIT_")}
    described = {int(code) for code in re.findall(r"^\| ([0-9]+) \|", OPERATIONS, re.MULTILINE)}
    assert described == codes | {0, 2}
