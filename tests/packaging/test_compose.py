"""The compose files as compose reads them: variables set or not, the override merged."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tusou_service.http.auth import is_loopback
from tusou_service.settings import Settings

from tests.packaging.settings_files import FILES, SET_ELSEWHERE, filled
from tusou.cli.main import VERBS

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(?P<name>\w+):(?P<sign>[-+])(?P<word>[^}]*)\}")
SETTINGS = {f"TUSOU_{name.upper()}" for name in Settings.model_fields}
POOL = "/srv/pool/MR_test_imgs.tsv"


class Loader(yaml.SafeLoader):
    """YAML with compose's own tag."""


Loader.add_constructor("!reset", lambda loader, node: "reset")


def load(name: str, **env: str) -> dict[str, Any]:
    def value(match: re.Match[str]) -> str:
        given = env.get(match["name"], "")
        return given or match["word"] if match["sign"] == "-" else given and match["word"]

    text = VARIABLE.sub(value, (ROOT / name).read_text())
    # The loader is a SafeLoader.
    document: dict[str, Any] = yaml.load(text, Loader)
    return document


@pytest.fixture(params=[{}, {"TUSOU_IMAGES": POOL}], ids=["demo", "own-pool"])
def compose(request: pytest.FixtureRequest) -> dict[str, Any]:
    return load("docker-compose.yml", **request.param)


@pytest.fixture(params=["indexer", "service"])
def container(request: pytest.FixtureRequest, compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"][request.param]
    return found


def test_a_container_can_do_no_more_than_it_must(container: dict[str, Any]) -> None:
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["init"] is True
    assert container["pids_limit"] > 0
    assert container["mem_limit"] == "16g"
    assert int(container["cpus"]) == int(container["environment"]["OMP_NUM_THREADS"]) == 2
    assert "env_file" not in container
    assert container["tmpfs"] == ["/tmp:size=1g,mode=1777,noexec,nosuid,nodev"]
    assert container["logging"]["options"].keys() == {"max-size", "max-file"}
    assert not {"privileged", "network_mode", "pid", "ipc", "devices", "user"} & container.keys()


def test_one_nvidia_gpu_is_reserved(container: dict[str, Any]) -> None:
    reserved = container["deploy"]["resources"]["reservations"]["devices"]
    assert reserved == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]


def test_every_volume_is_declared_or_the_pool_under_its_own_path(
    compose: dict[str, Any], container: dict[str, Any]
) -> None:
    for volume in container["volumes"]:
        source, target, *_ = volume.split(":")
        assert source in compose["volumes"] or source == target == POOL, volume
        assert source != "/var/run/docker.sock"


def test_only_the_indexer_writes(compose: dict[str, Any]) -> None:
    service, indexer = compose["services"]["service"], compose["services"]["indexer"]
    assert all(volume.endswith(":ro") for volume in service["volumes"])
    assert indexer["volumes"][-1].endswith(":ro")
    targets = [
        [volume.removesuffix(":ro") for volume in one["volumes"]] for one in (service, indexer)
    ]
    assert targets[0] == targets[1]


def test_the_service_waits_for_its_bundle(compose: dict[str, Any]) -> None:
    service, indexer = compose["services"]["service"], compose["services"]["indexer"]
    assert service["depends_on"] == {"indexer": {"condition": "service_completed_successfully"}}
    assert indexer["restart"] == "no"
    assert service["restart"] == "on-failure:5"
    assert f"--out={service['environment']['TUSOU_BUNDLE']}" in indexer["command"]


def test_the_commands_are_verbs(container: dict[str, Any]) -> None:
    assert container["command"][0] in VERBS


@pytest.mark.parametrize(
    ("env", "images", "model"),
    [
        pytest.param({}, "/opt/toy/MR_test_imgs.tsv", "demo", id="nothing-configured"),
        pytest.param({"TUSOU_IMAGES": POOL, "TUSOU_MODEL": "RN50"}, POOL, "RN50", id="own-pool"),
    ],
)
def test_what_is_indexed(env: dict[str, str], images: str, model: str) -> None:
    command = load("docker-compose.yml", **env)["services"]["indexer"]["command"]
    assert command[:2] == ["index", images]
    assert f"--model={model}" in command


def test_the_port_is_on_loopback_unless_published(compose: dict[str, Any]) -> None:
    assert compose["services"]["service"]["ports"] == ["127.0.0.1:8000:8000"]
    opened = load("docker-compose.yml", TUSOU_PUBLISH="0.0.0.0:80")["services"]["service"]
    assert opened["ports"] == ["0.0.0.0:80:8000"]
    assert "ports" not in compose["services"]["indexer"]


@pytest.mark.parametrize(
    ("env", "starts"),
    [
        ({}, True),
        ({"TUSOU_PUBLISH": "127.0.0.1:9000"}, True),
        ({"TUSOU_PUBLISH": "0.0.0.0:80"}, False),
        ({"TUSOU_PUBLISH": "80"}, False),
    ],
)
def test_without_keys_the_service_starts_on_loopback_alone(
    env: dict[str, str], starts: bool
) -> None:
    environment = load("docker-compose.yml", **env)["services"]["service"]["environment"]
    fields = {name.removeprefix("TUSOU_").lower(): value for name, value in environment.items()}
    settings = Settings(**{name: str(value) for name, value in fields.items() if value})
    assert (settings.api_keys, settings.open) == (None, False)
    assert is_loopback(settings.reachable_host()) is starts


def test_without_a_gpu_nothing_is_reserved_and_the_cpu_extra_is_built() -> None:
    override = load("docker-compose.cpu.yml")["services"]
    services = load("docker-compose.yml")["services"]
    assert override.keys() == {name for name, one in services.items() if "build" in one}
    for container in override.values():
        assert container["deploy"]["resources"]["reservations"]["devices"] == "reset"
        assert container["build"]["args"] == ["EXTRA=cpu", "TORCH=locked"]
    assert {name: one["image"] for name, one in override.items()} == {
        name: f"{services[name]['image']}:cpu" for name in override
    }


def test_the_grace_is_longer_than_the_drain(compose: dict[str, Any]) -> None:
    grace = int(compose["services"]["service"]["stop_grace_period"].removesuffix("s"))
    defaults = Settings.model_construct()
    assert grace > defaults.drain_s + defaults.shutdown_s


def test_keys_are_a_secret_file_or_none() -> None:
    unset = load("docker-compose.yml")
    assert unset["services"]["service"]["environment"]["TUSOU_API_KEYS"] is None
    given = load("docker-compose.yml", TUSOU_API_KEYS="/srv/keys")
    assert given["secrets"]["api_keys"] == {"file": "/srv/keys"}
    service = given["services"]["service"]
    assert service["environment"]["TUSOU_API_KEYS"] == "/run/secrets/api_keys"
    assert service["secrets"] == ["api_keys"]


def variables(name: str) -> set[str]:
    return {match["name"] for match in VARIABLE.finditer((ROOT / name).read_text())}


def test_the_example_shows_every_variable_and_no_other() -> None:
    example = (ROOT / ".env.example").read_text()
    shown = re.findall(r"^#(\w+)=", example, re.MULTILINE)
    assert len(shown) == len(set(shown))
    assert set(shown) == variables("docker-compose.yml") | variables("docker-compose.cpu.yml")


@pytest.mark.parametrize("name", FILES)
def test_the_settings_passed_on_are_those_of_the_service(name: str) -> None:
    """Otherwise run `python -m tests.packaging.settings_files`."""
    assert (ROOT / name).read_text("utf-8") == filled(name, FILES[name]())


def test_the_service_gets_every_setting_by_its_name_and_nothing_else() -> None:
    passed = load("docker-compose.yml")["services"]["service"]["environment"]
    openmp, tracing = {"OMP_NUM_THREADS"}, {name for name in passed if name.startswith("OTEL_")}
    of_host = {"TUSOU_MODELS"}  # the host's name of a folder that is mounted
    assert passed.keys() == (SETTINGS - of_host) | openmp | tracing
    assert {name: value for name, value in passed.items() if value is None}.keys() == {
        "TUSOU_API_KEYS",
        *(SETTINGS - {f"TUSOU_{name.upper()}" for name in SET_ELSEWHERE}),
        *tracing,
    }
    given = load("docker-compose.yml", TUSOU_LOG_LEVEL="warning")["services"]["service"]
    assert given["environment"]["TUSOU_LOG_LEVEL"] == "warning"


def test_empty_variables_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = load("docker-compose.yml")["services"]["service"]["environment"]
    for name in [name for name in os.environ if name.startswith("TUSOU_")]:
        monkeypatch.delenv(name)
    defaults = Settings()
    for name, value in passed.items():
        if value is None:
            monkeypatch.setenv(name, "")
    assert Settings() == defaults


def test_only_the_indexer_has_a_way_out() -> None:
    """A published port needs a network that is not `internal`; this one translates no addresses."""
    compose = load("docker-compose.yml")
    joined = {name: one["networks"] for name, one in compose["services"].items()}
    inside = ["inside"]
    assert joined == {
        "indexer": ["outside"],
        "service": inside,
        "prometheus": inside,
        "grafana": inside,
    }
    options = {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    assert compose["networks"] == {"inside": {"driver_opts": options}, "outside": None}


def test_a_start_that_cannot_succeed_is_not_repeated_for_ever() -> None:
    services = load("docker-compose.yml")["services"]
    assert {name: one["restart"] for name, one in services.items()} == {
        "indexer": "no",
        "service": "on-failure:5",
        "prometheus": "on-failure:5",
        "grafana": "on-failure:5",
    }


def test_every_image_can_be_pinned_by_its_digest() -> None:
    pinned = "example/x@sha256:" + 64 * "0"
    names = ("BASE", "PROMETHEUS", "GRAFANA")
    compose = load("docker-compose.yml", **{f"TUSOU_{name}_IMAGE": pinned for name in names})
    built = {name: one for name, one in compose["services"].items() if "build" in one}
    assert built.keys() == {"indexer", "service"}
    for name, container in built.items():
        assert container["build"]["target"] == name
        assert f"BASE_IMAGE={pinned}" in container["build"]["args"]
    others = compose["services"].keys() - built.keys()
    assert {compose["services"][name]["image"] for name in others} == {pinned}
