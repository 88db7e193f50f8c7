"""The Dockerfile's policy: who runs, what is copied, how it is installed and watched."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from tusou_service.settings import Settings

ROOT = Path(__file__).parents[2]


def steps() -> list[tuple[str, str]]:
    """Read (instruction, rest) pairs, continued lines joined."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r" *\\\n *", " ", text).split("\n")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def final() -> list[tuple[str, str]]:
    """Keep what follows the last FROM: what is shipped."""
    last = max(place for place, (name, _) in enumerate(steps()) if name == "FROM")
    return steps()[last:]


def only(name: str) -> str:
    [rest] = [rest for instruction, rest in final() if instruction == name]
    return rest


def test_the_base_is_one_argument_for_every_stage() -> None:
    assert steps()[0] == ("ARG", "BASE_IMAGE=python:3.11-slim-bookworm")
    assert {rest.split(" AS ")[0] for name, rest in steps() if name == "FROM"} == {"${BASE_IMAGE}"}


def test_it_runs_as_a_numbered_user_who_is_not_root() -> None:
    assert only("USER") == "10001:10001"


def test_the_process_is_the_command_itself() -> None:
    assert json.loads(only("ENTRYPOINT")) == ["tusou"]
    assert json.loads(only("CMD")) == ["serve"]
    assert only("STOPSIGNAL") == "SIGTERM"


def test_its_health_is_asked_by_a_module_that_exists() -> None:
    command = json.loads(only("HEALTHCHECK").split("CMD ")[1])
    assert command[:2] == ["python", "-m"]
    assert importlib.util.find_spec(command[2]) is not None


@pytest.mark.parametrize("tool", ["curl", "wget", "apt", "apt-get", "gcc", "sudo"])
def test_it_needs_no_such_tool(tool: str) -> None:
    assert all(tool not in rest.split() for _, rest in steps())


def test_every_install_checks_hashes() -> None:
    installs = [rest for name, rest in steps() if name == "RUN" and "pip install" in rest]
    assert len(installs) == 3
    assert all("--require-hashes" in one or "--require-build-hashes" in one for one in installs)


def test_what_it_copies_exists_and_passes_the_ignore_file() -> None:
    allowed = {line[1:].rstrip("/") for line in ignored() if line.startswith("!")}
    for source in copied():
        assert (ROOT / source).exists(), source
        assert source.rstrip("/") in {path.removesuffix("/*.txt") for path in allowed}, source


def test_the_ignore_file_lets_nothing_in_that_is_not_named() -> None:
    assert next(line for line in ignored() if not line.startswith("#")) == "*"


def test_its_settings_are_the_services() -> None:
    names = set(re.findall(r"(TUSOU_\w+)=", only("ENV")))
    assert names == {"TUSOU_BUNDLE", "TUSOU_HOST"}
    assert names <= {f"TUSOU_{name.upper()}" for name in Settings.model_fields}


def test_no_argument_or_setting_holds_a_secret() -> None:
    for name, rest in steps():
        if name in {"ARG", "ENV"}:
            assert not re.search("KEY|TOKEN|PASSWORD|SECRET", rest), rest


def copied() -> list[str]:
    here = [rest.split() for name, rest in steps() if name == "COPY" and "--from" not in rest]
    return [source for words in here for source in words[:-1]]


def ignored() -> list[str]:
    return (ROOT / ".dockerignore").read_text().splitlines()
