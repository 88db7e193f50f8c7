"""The files for Kubernetes: valid, safe by default, and in step with the service."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tusou_service.http.app import create_app
from tusou_service.http.auth import PROBES
from tusou_service.observability.metrics import Metrics
from tusou_service.settings import Settings

from tests.packaging.kustomization import build, containers
from tusou.bundle.location import S3Address, parse_location
from tusou.cli.main import VERBS

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
STORE = KUBERNETES / "components" / "store"
CLUSTERS = ["1.31", "1.34", "1.37"]
Document = dict[str, Any]


@pytest.fixture(params=["cpu", "gpu", "cpu-store", "gpu-store"])
def documents(request: pytest.FixtureRequest) -> list[Document]:
    overlay, _, store = request.param.partition("-")
    return build(KUBERNETES / "overlays" / overlay, (STORE,) if store else ())


def only(documents: list[Document], kind: str, name: str = "tusou") -> Document:
    (found,) = (d for d in documents if (d["kind"], d["metadata"]["name"]) == (kind, name))
    return found


def environment(container: Document) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


def settings(documents: list[Document]) -> Settings:
    """Return the settings that the service reads in its container."""
    (container,) = containers(only(documents, "Deployment"))
    values = {
        name.removeprefix("TUSOU_").lower(): value
        for name, value in environment(container).items()
        if name.startswith("TUSOU_")
    }
    assert values.keys() <= Settings.model_fields.keys()
    return Settings(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_document_is_valid(documents: list[Document], cluster: str) -> None:
    assert [document["kind"] for document in documents] == [
        "Deployment",
        "Service",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "Job",
    ]
    for document in documents:
        kubernetes_validate.validate(document, cluster, strict=True)


def test_kustomize_builds_the_same(tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    for overlay in ("cpu", "gpu"):
        for components in ((), (STORE,)):
            folder = tmp_path / "kubernetes" / "overlays" / overlay
            rules = folder / "kustomization.yaml"
            if components:
                rules.write_text(re.sub("(?m)^# (?=components:|  - )", "", rules.read_text()))
            command = [kubectl, "kustomize", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            theirs = list(yaml.safe_load_all(done.stdout))
            ours = build(KUBERNETES / "overlays" / overlay, components)
            assert sorted(map(json.dumps, sort_keys(theirs))) == sorted(
                map(json.dumps, sort_keys(ours))
            )


def sort_keys(documents: list[Document]) -> list[Document]:
    return [json.loads(json.dumps(document, sort_keys=True)) for document in documents]


def test_pods_can_do_no_more_than_they_must(documents: list[Document]) -> None:
    for document in (only(documents, "Deployment"), only(documents, "Job", "tusou-index")):
        pod = document["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        user = re.search(r"USER (\d+):(\d+)", (ROOT / "Dockerfile").read_text())
        assert user
        assert (security["runAsUser"], security["runAsGroup"]) == tuple(map(int, user.groups()))
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            resources = container["resources"]
            assert {"cpu", "memory", "ephemeral-storage"} <= resources["limits"].keys()
            assert resources["requests"]["memory"] == resources["limits"]["memory"]
            names = {volume["name"] for volume in pod["volumes"]}
            assert {mount["name"] for mount in container["volumeMounts"]} == names


def test_the_service_writes_only_what_is_its_own(documents: list[Document]) -> None:
    (container,) = containers(only(documents, "Deployment"))
    written = {m["name"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert written <= {"tmp", "shm", "copies"}


def test_the_service_reads_its_settings(documents: list[Document]) -> None:
    parsed = settings(documents)
    (container,) = containers(only(documents, "Deployment"))
    paths = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert (parsed.host, parsed.follow_s) == ("0.0.0.0", 10)
    assert parsed.api_keys
    assert str(parsed.api_keys.parent) in paths
    if isinstance(parsed.bundle, S3Address):
        assert str(parsed.cache_dir) in paths
        assert container["envFrom"] == [{"secretRef": {"name": "tusou-store"}}]
    else:
        assert str(parsed.bundle.parent if parsed.bundle else "") in paths
    threads = environment(container)["OMP_NUM_THREADS"]
    assert threads == container["resources"]["limits"]["cpu"]


def test_the_pod_outlives_its_drain(documents: list[Document]) -> None:
    parsed, spec = settings(documents), only(documents, "Deployment")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > parsed.drain_s + parsed.shutdown_s + 5
    (container,) = spec["containers"]
    readiness = container["readinessProbe"]
    unready = readiness["periodSeconds"] * readiness["failureThreshold"]
    assert parsed.drain_s > unready + readiness["timeoutSeconds"]


def test_probes_and_ports_are_those_of_the_service(documents: list[Document]) -> None:
    (container,) = containers(only(documents, "Deployment"))
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert [probe["path"] for probe in probes] == ["/readyz", "/readyz", "/healthz"]
    assert {probe["path"] for probe in probes} == PROBES
    assert {probe["port"] for probe in probes} == {"http"}
    assert container["ports"] == [{"name": "http", "containerPort": settings(documents).port}]
    (port,) = only(documents, "Service")["spec"]["ports"]
    assert port["targetPort"] == "http"
    template = only(documents, "Deployment")["spec"]["template"]["metadata"]
    annotations = template["annotations"]
    paths = create_app(lambda: pytest.fail("not entered"), Settings()).openapi()["paths"]
    assert annotations["prometheus.io/path"] in paths
    assert annotations["prometheus.io/port"] == str(settings(documents).port)


def test_selectors_find_the_pods_and_the_deployment(documents: list[Document]) -> None:
    labels = only(documents, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        only(documents, "Deployment")["spec"]["selector"]["matchLabels"],
        only(documents, "Service")["spec"]["selector"],
        only(documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        only(documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    job = only(documents, "Job", "tusou-index")["spec"]["template"]["metadata"]["labels"]
    assert not selectors[0].items() <= job.items()  # the service sends the job no requests
    policy = only(documents, "NetworkPolicy", "tusou-index")["spec"]["podSelector"]["matchLabels"]
    assert policy.items() <= job.items()
    target = only(documents, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "tusou")
    volumes = only(documents, "Deployment")["spec"]["template"]["spec"]["volumes"]
    claims = [v["persistentVolumeClaim"] for v in volumes if "persistentVolumeClaim" in v]
    assert claims == [{"claimName": only(documents, "PersistentVolumeClaim")["metadata"]["name"]}]


def test_the_autoscaler_counts_a_metric_of_the_service(documents: list[Document]) -> None:
    spec = only(documents, "HorizontalPodAutoscaler")["spec"]
    (metric,) = spec["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert f"# TYPE {name} gauge" in Metrics().expose().decode()
    assert 1 < spec["minReplicas"] < spec["maxReplicas"]
    adapter = yaml.safe_load((KUBERNETES / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert rule["name"]["as"] == name
    assert rule["seriesQuery"].startswith(f"{name}{{")
    assert f"{name}{{" in rule["metricsQuery"]
    budget = only(documents, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] < spec["minReplicas"]


def test_the_job_writes_the_bundle_that_is_served() -> None:
    documents = build(KUBERNETES / "overlays" / "cpu")
    (container,) = containers(only(documents, "Job", "tusou-index"))
    verb, source, *options = container["args"]
    assert verb in VERBS
    assert f"--out={settings(documents).bundle}" in options
    assert f"COPY --from=build {Path(source).parent} " in (ROOT / "Dockerfile").read_text()
    (service,) = containers(only(documents, "Deployment"))
    assert service["args"] == ["serve"]
    for path in ("/var/lib/tusou", "/var/cache/tusou", "/pool"):
        ours, theirs = (
            next(mount for mount in each["volumeMounts"] if mount["mountPath"] == path)
            for each in (service, container)
        )
        assert (ours["name"], ours["subPath"]) == (theirs["name"], theirs["subPath"])


def test_images_are_those_of_the_dockerfile(documents: list[Document]) -> None:
    names = {one["image"] for document in documents for one in containers(document)}
    targets = {re.sub(r".*/tusou-(\w+):.*", r"\1", name) for name in names}
    assert targets == {"service", "indexer"}
    assert all(":0.1.0" in name for name in names)
    base = [one["image"] for document in build(KUBERNETES / "base") for one in containers(document)]
    assert base == ["tusou-service", "tusou-indexer"]


def test_a_gpu_is_asked_for_by_the_overlay_for_gpus_alone() -> None:
    for overlay, device in (("cpu", "cpu"), ("gpu", "cuda")):
        documents = build(KUBERNETES / "overlays" / overlay)
        assert settings(documents).device == device
        for name in ("Deployment", "Job"):
            document = only(documents, name, "tusou" if name == "Deployment" else "tusou-index")
            (container,) = containers(document)
            limits = container["resources"]["limits"]
            assert ("nvidia.com/gpu" in limits) is (overlay == "gpu")


def test_the_store_is_an_address_and_opens_the_way_to_it() -> None:
    documents = build(KUBERNETES / "overlays" / "cpu", (STORE,))
    assert settings(documents).bundle == parse_location("s3://shop/bundles/clothing")
    (rule,) = only(documents, "NetworkPolicy")["spec"]["egress"]
    assert {port["port"] for port in rule["ports"]} == {53, 443}
    base = build(KUBERNETES / "overlays" / "cpu")
    assert only(base, "NetworkPolicy")["spec"]["egress"] == []
