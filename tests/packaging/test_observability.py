"""The dashboard asks for what the service measures, and compose brings the two together."""

import json
import re
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import yaml
from drawing import image_bytes
from fastapi.testclient import TestClient

from tests.packaging.test_compose import load
from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource, connected

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/observability"
DASHBOARD = json.loads((FOLDER / "grafana/tusou.json").read_text())
TARGETS = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
SAMPLE = re.compile(r"^(?P<name>tusou_\w+)(?:\{(?P<labels>[^}]*)\})? ", re.MULTILINE)
# Prometheus adds this one to whatever it reads.
OWN_LABELS = {"instance"}


def measured(client: TestClient) -> dict[str, set[str]]:
    """Map the name of every sample to its labels."""
    found: dict[str, set[str]] = {}
    for sample in SAMPLE.finditer(client.get("/metrics").text):
        labels = re.findall(r'(\w+)="', sample["labels"] or "")
        found.setdefault(sample["name"], set()).update(labels)
    return found


@pytest.fixture(scope="module")
def samples() -> dict[str, set[str]]:
    source = TinySource(TinyPipeline(TinyBundle("v1")))
    other = TinySource(TinyPipeline(TinyBundle("w1")))
    with connected(source, other=other, timeout_ms=20_000, ab_mode="shadow", ab_share=1) as client:
        client.post("/search", json={"query": "裙"})
        image = {"Content-Type": "image/jpeg"}
        client.post("/search/image", content=image_bytes(1), headers=image)
        client.post("/admin/reload")
        while 'tusou_shadow_queries_total{result="compared"}' not in client.get("/metrics").text:
            sleep(0.01)
        client.get("/metrics")
        return measured(client)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["expr"][:60])
def test_a_query_names_what_the_service_measures(
    target: dict[str, Any], samples: dict[str, set[str]]
) -> None:
    names = re.findall(r"tusou_\w+", target["expr"])
    assert names
    assert set(names) <= samples.keys()
    known = set.union(OWN_LABELS, *(samples[name] for name in names))
    grouped = re.findall(r"by \(([\w, ]+)\)", target["expr"])
    used = {label.strip() for group in grouped for label in group.split(",")}
    used |= set(re.findall(r"(\w+)=~?\"", target["expr"]))
    used |= set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    assert used <= known


def test_the_dashboard_shows_every_measure(samples: dict[str, set[str]]) -> None:
    asked = " ".join(target["expr"] for target in TARGETS)
    families = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in samples}
    kinds = {name.removesuffix("_total") for name in families}
    assert [name for name in sorted(kinds) if name not in asked] == []


def test_panels_do_not_overlap_and_read_the_provisioned_source() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    [source] = yaml.safe_load((FOLDER / "grafana/datasource.yml").read_text())["datasources"]
    assert {target["datasource"]["uid"] for target in TARGETS} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"


def test_prometheus_reads_the_service() -> None:
    [job] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    compose = load("docker-compose.yml")
    [target] = job["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert compose["services"][name]["environment"]["TUSOU_PORT"] == port
    assert job.get("metrics_path", "/metrics") == "/metrics"
    [secret] = compose["services"]["prometheus"]["secrets"]
    assert job["authorization"] == {"credentials_file": f"/run/secrets/{secret}"}


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_they_start_only_when_asked_and_can_do_little(name: str) -> None:
    compose = load("docker-compose.yml")
    container = compose["services"][name]
    assert container["profiles"] == ["observability"]
    assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", container["image"])
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["pids_limit"] > 0
    assert container["mem_limit"] == "1g"
    assert container["cpus"] == 1
    assert all(port.startswith("127.0.0.1:") for port in container["ports"])
    for volume in container["volumes"]:
        source, target, *mode = volume.split(":")
        if source.startswith("./"):
            assert (ROOT / source).is_file(), volume
            assert mode == ["ro"]
        else:
            assert source in compose["volumes"]
            assert target in {"/prometheus", "/var/lib/grafana"}


def test_what_grafana_is_told_to_load_is_mounted_there() -> None:
    grafana = load("docker-compose.yml")["services"]["grafana"]
    mounted = {volume.split(":")[1] for volume in grafana["volumes"]}
    [provider] = yaml.safe_load((FOLDER / "grafana/dashboards.yml").read_text())["providers"]
    assert f"{provider['options']['path']}/tusou.json" in mounted
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in mounted
