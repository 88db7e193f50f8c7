"""The Dockerfile's policy: who runs, what is copied, how it is installed and watched."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from tusou_service.settings import Settings

from tests.packaging.test_locks import PLATFORMS, pins

ROOT = Path(__file__).parents[2]
TARGETS = ("lab", "indexer", "service")
Step = tuple[str, str]


def steps() -> list[Step]:
    """Read (instruction, rest) pairs, continued lines joined."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r" *\\\n *", " ", text).split("\n")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def stages() -> dict[str, list[Step]]:
    """Map the name of each stage to its steps, those of the stages it is built on first."""
    found: dict[str, list[Step]] = {}
    name = ""
    for step in steps():
        if step[0] == "FROM":
            base, name = step[1].split(" AS ")
            found[name] = [*found.get(base, [])]
        if name:
            found[name].append(step)
    return found


def of(target: str, name: str) -> list[str]:
    return [rest for instruction, rest in stages()[target] if instruction == name]


def installed(stage: str) -> list[str]:
    """Return the locks of what a stage installs into the environment that is shipped."""
    runs = [rest for rest in of(stage, "RUN") if "/opt/tusou/bin/python" in rest]
    return [lock for rest in runs for lock in re.findall(r"requirements/([\w${}]+)\.txt", rest)]


def test_the_targets_are_named_and_the_service_is_the_default() -> None:
    assert tuple(stages())[-3:] == TARGETS
    for target in TARGETS:
        assert of(target, "FROM")[-1] == f"runtime AS {target}"
        assert f"--from=build-{target} /opt/tusou /opt/tusou" in of(target, "COPY")


def test_only_the_lab_has_charts_and_fonts() -> None:
    assert {target: installed(f"build-{target}") for target in TARGETS} == {
        "service": ["${EXTRA}", "build", "otel", "s3"],
        "indexer": ["${EXTRA}", "build", "s3"],
        "lab": ["${EXTRA}", "build", "lab"],
    }
    charts = {"matplotlib", "fonttools", "manimgx-fonts-cjk", "jinja2"}
    locked = {
        name: pins(ROOT / f"requirements/{name}.txt", PLATFORMS[0]).keys()
        for name in ("cpu", "gpu", "otel", "lab")
    }
    assert charts <= locked["lab"]
    fonts_and_plots = charts - {"jinja2"}  # PyTorch needs it too
    assert not fonts_and_plots & (locked["cpu"] | locked["gpu"] | locked["otel"])


def test_the_base_is_one_argument_for_every_stage() -> None:
    assert steps()[0] == ("ARG", "BASE_IMAGE=python:3.11-slim-bookworm")
    bases = {rest.split(" AS ")[0] for name, rest in steps() if name == "FROM"}
    assert bases == {"${BASE_IMAGE}", "build", "runtime"}


@pytest.mark.parametrize("target", TARGETS)
def test_it_runs_as_a_numbered_user_who_is_not_root(target: str) -> None:
    assert of(target, "USER") == ["10001:10001"]


@pytest.mark.parametrize(
    ("target", "words"),
    [("service", ["serve"]), ("indexer", ["index", "--help"]), ("lab", ["--help"])],
)
def test_the_process_is_the_command_itself(target: str, words: list[str]) -> None:
    assert [json.loads(rest) for rest in of(target, "ENTRYPOINT")] == [["tusou"]]
    assert [json.loads(rest) for rest in of(target, "CMD")] == [words]
    assert of(target, "STOPSIGNAL") == ["SIGTERM"]


def test_only_the_service_listens_and_its_health_is_asked_by_a_module_that_exists() -> None:
    assert {target: of(target, "EXPOSE") for target in TARGETS} == {
        "service": ["8000"],
        "indexer": [],
        "lab": [],
    }
    assert not of("indexer", "HEALTHCHECK") + of("lab", "HEALTHCHECK")
    [health] = of("service", "HEALTHCHECK")
    command = json.loads(health.split("CMD ")[1])
    assert command[:2] == ["python", "-m"]
    assert importlib.util.find_spec(command[2]) is not None


@pytest.mark.parametrize("target", TARGETS)
def test_it_says_what_is_in_it(target: str) -> None:
    copied_here = of(target, "COPY")
    assert "LICENSE NOTICE /usr/share/doc/tusou/" in copied_here
    assert f"--from=build-{target} /opt/sbom.json /usr/share/doc/tusou/sbom.json" in copied_here
    listing, last_install = -1, -1
    for place, (name, rest) in enumerate(stages()[f"build-{target}"]):
        if name == "RUN" and "cyclonedx-py environment /opt/tusou/bin/python" in rest:
            listing = place
        elif name == "RUN" and "/opt/tusou/bin/python" in rest:
            last_install = place
    assert listing > last_install


@pytest.mark.parametrize("target", TARGETS)
def test_its_labels_name_title_version_revision_and_base(target: str) -> None:
    labels = " ".join(of(target, "LABEL"))
    names = set(re.findall(r"org\.opencontainers\.image\.([\w.]+)=", labels))
    assert names == {"title", "description", "version", "revision", "licenses", "base.name"}
    assert f'image.title="tusou-{target}"' in labels
    assert 'image.revision="${REVISION}"' in labels
    assert "REVISION=unknown" in of(target, "ARG")


@pytest.mark.parametrize("tool", ["curl", "wget", "apt", "apt-get", "gcc", "sudo"])
def test_it_needs_no_such_tool(tool: str) -> None:
    assert all(tool not in rest.split() for _, rest in steps())


def test_every_install_checks_hashes() -> None:
    installs = [rest for name, rest in steps() if name == "RUN" and re.search("pip (in|sy)", rest)]
    assert len(installs) == 6
    assert all("--require-hashes" in one or "--require-build-hashes" in one for one in installs)
    [script] = [rest for name, rest in steps() if name == "RUN" and "install.sh" in rest]
    assert script.endswith("requirements/${EXTRA}.txt ${TORCH}")
    assert "TORCH=locked" in of("build", "ARG")


def test_what_it_copies_exists_and_passes_the_ignore_file() -> None:
    allowed = {line[1:].rstrip("/") for line in ignored() if line.startswith("!")}
    requirements = {"requirements/*.txt", "requirements/install.sh"}
    assert requirements <= allowed
    assert {source.rstrip("/") for source in copied()} == allowed - requirements | {"requirements"}
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_the_ignore_file_lets_nothing_in_that_is_not_named() -> None:
    assert next(line for line in ignored() if not line.startswith("#")) == "*"


def test_its_settings_are_the_services() -> None:
    names = set(re.findall(r"(TUSOU_\w+)=", " ".join(of("service", "ENV"))))
    assert names == {"TUSOU_BUNDLE", "TUSOU_HOST"}
    assert names <= {f"TUSOU_{name.upper()}" for name in Settings.model_fields}


def test_no_argument_or_setting_holds_a_secret() -> None:
    for name, rest in steps():
        if name in {"ARG", "ENV"}:
            assert not re.search("KEY|TOKEN|PASSWORD|SECRET", rest), rest


def copied() -> list[str]:
    here = [rest.split() for name, rest in steps() if name == "COPY" and "--from" not in rest]
    return sorted({source for words in here for source in words[:-1]})


def ignored() -> list[str]:
    return (ROOT / ".dockerignore").read_text().splitlines()


def test_the_build_without_an_engine_knows_the_targets() -> None:
    script = (ROOT / "tests/image/build.sh").read_text()
    [default] = re.findall(r"\$\{TARGETS:-([\w ]+)\}", script)
    assert set(default.split()) == set(TARGETS) - {"lab"}
    arguments = set(re.findall(r"--build-arg (\w+)=", script))
    assert arguments <= {rest.split("=")[0] for name, rest in steps() if name == "ARG"}
