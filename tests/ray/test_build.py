"""`tusou index --on ray`: the bytes of a build on one machine, whatever ends meanwhile."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from base64 import b64encode
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import sleep

import pytest
from tusou_indexer import build as build_module
from tusou_indexer.build import BuildReport, BuildSpec, build
from tusou_indexer.build_inputs import open_source
from tusou_indexer.on_ray import embed_on_ray
from tusou_indexer.plan import Plan, make_plan, scan_source
from tusou_indexer.shard_worker import WorkerRecipe

from tests.ray.two_nodes import KillingProgress, TwoNodes
from tusou.bundle.shards import ShardStore
from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import InvalidRequest, Unavailable

SHARD_ROWS, BATCH_ROWS = 32, 16
BAD_LINES = 3

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "SHARD_ROWS", SHARD_ROWS)
    monkeypatch.setattr(build_module, "BATCH_ROWS", BATCH_ROWS)


@pytest.fixture(scope="session")
def source(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 good images, two that cannot be decoded, and an id for the second time."""
    lines = pool.read_bytes().splitlines(keepends=True)
    path = tmp_path_factory.mktemp("source") / "MR_test_imgs.tsv"
    broken = [b"900\t" + b64encode(b"GIF89a" * 9) + b"\n", b"901\t" + b64encode(b"\xff") + b"\n"]
    path.write_bytes(b"".join([*lines[:40], broken[0], *lines[40:], broken[1], lines[0]]))
    return path


@pytest.fixture(scope="session")
def spec(source: Path, tiny_model: Path) -> BuildSpec:
    return BuildSpec(str(source), str(tiny_model), "Flat", "cpu", max_bad=str(BAD_LINES), workers=1)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def expected(spec: BuildSpec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digest of each file of a bundle that is built on one machine."""
    folder = tmp_path_factory.mktemp("local") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "SHARD_ROWS", SHARD_ROWS)
        patch.setattr(build_module, "BATCH_ROWS", BATCH_ROWS)
        build(spec, folder, NoProgress())
    return digests(folder)


def build_on(
    cluster: TwoNodes, spec: BuildSpec, out: Path, progress: Progress | None = None
) -> BuildReport:
    there = replace(spec, on="ray", ray_address=cluster.address)
    return build(there, out, progress or NoProgress())


def test_the_bundle_is_that_of_one_machine(
    cluster: TwoNodes, spec: BuildSpec, expected: dict[str, str], tmp_path: Path
) -> None:
    report = build_on(cluster, spec, tmp_path / "bundle")
    assert (report.encoded, report.counts.failed) == (300, BAD_LINES)
    assert digests(tmp_path / "bundle") == expected
    assert cluster.worker_pids() == []


def test_workers_that_are_killed_are_replaced(
    cluster: TwoNodes, spec: BuildSpec, expected: dict[str, str], tmp_path: Path
) -> None:
    progress = KillingProgress(cluster, 4)
    report = build_on(cluster, spec, tmp_path / "bundle", progress)
    assert (progress.killed, report.encoded) == (4, 300)
    assert digests(tmp_path / "bundle") == expected


def test_a_node_may_be_lost_and_another_join(
    cluster: TwoNodes, spec: BuildSpec, expected: dict[str, str], tmp_path: Path
) -> None:
    class LosingProgress(NoProgress):
        lost = False

        def advance(self, steps: int = 1, note: str = "") -> None:
            if not self.lost:
                self.lost = True
                cluster.replace_second_node()

    build_on(cluster, spec, tmp_path / "bundle", LosingProgress())
    assert digests(tmp_path / "bundle") == expected


DRIVER = """
import sys
from pathlib import Path
import tusou_indexer.build as module
from tusou.cli.progress import NoProgress

module.SHARD_ROWS, module.BATCH_ROWS = 32, 16
source, model, address, out = sys.argv[1:]
spec = module.BuildSpec(
    source, model, "Flat", "cpu", max_bad="3", workers=1, on="ray", ray_address=address
)
module.build(spec, Path(out), NoProgress())
"""


def test_a_build_that_is_killed_is_resumed(
    cluster: TwoNodes, spec: BuildSpec, expected: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    command = [sys.executable, "-c", DRIVER, spec.source, spec.model, cluster.address, str(out)]
    with subprocess.Popen(command) as driver:
        while len(list(out.glob(".build/shards/*.json"))) < 3:
            assert driver.poll() is None
            sleep(0.02)
        driver.send_signal(signal.SIGKILL)
    assert not (out / "CURRENT").exists()
    report = build_on(cluster, spec, out)
    assert 0 < report.encoded <= 300 - 2 * SHARD_ROWS
    assert digests(out) == expected


def test_a_build_begun_on_ray_is_finished_on_one_machine(
    cluster: TwoNodes, spec: BuildSpec, expected: dict[str, str], tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    class StoppingProgress(NoProgress):
        rows = 0

        def advance(self, steps: int = 1, note: str = "") -> None:
            self.rows += steps
            if self.rows > 4 * SHARD_ROWS:
                raise Stop

    out = tmp_path / "bundle"
    with pytest.raises(Stop):
        build_on(cluster, spec, out, StoppingProgress())
    assert cluster.worker_pids() == []
    report = build(spec, out, NoProgress())
    assert report.reused >= 4 * SHARD_ROWS - BAD_LINES
    assert digests(out) == expected


def test_only_new_images_are_encoded(
    cluster: TwoNodes, spec: BuildSpec, source: Path, tmp_path: Path
) -> None:
    lines = source.read_bytes().splitlines(keepends=True)
    grown = tmp_path / "MR_test_imgs.tsv"
    for folder in ("local", "ray"):
        grown.write_bytes(b"".join(lines[:200]))
        there = replace(spec, source=str(grown))
        build(there, tmp_path / folder, NoProgress())
        grown.write_bytes(b"".join(lines[:240]))
        if folder == "ray":
            assert build_on(cluster, there, tmp_path / folder).encoded == 40
        else:
            build(there, tmp_path / folder, NoProgress())
    assert digests(tmp_path / "ray") == digests(tmp_path / "local")


def test_texts_are_encoded_too(cluster: TwoNodes, tiny_model: Path, tmp_path: Path) -> None:
    rows = [{"id": f"{n}.jpg#zhc#0", "text": f"第{n}件红色连衣裙" * (n % 9)} for n in range(100)]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    spec = BuildSpec(str(path), str(tiny_model), "Flat", "cpu", max_bad="20")
    build(spec, tmp_path / "local", NoProgress())
    build_on(cluster, spec, tmp_path / "ray")
    assert digests(tmp_path / "ray") == digests(tmp_path / "local")


def test_the_command_builds_with_its_own_shards(
    cluster: TwoNodes, spec: BuildSpec, tmp_path: Path
) -> None:
    """Batches of 64 in one shard, of which the last batch is filled with blanks."""
    common = ["index", spec.source, "--model", spec.model, "--index", "Flat", "--device", "cpu"]
    common += ["--max-bad", "3"]
    there = ["--on", "ray", "--ray-address", cluster.address]
    for name, options in (("local", []), ("ray", there)):
        command = [sys.executable, "-m", "tusou", *common, *options, "--out", name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "encoding 302/302" in done.stderr
    assert digests(tmp_path / "ray") == digests(tmp_path / "local")


def plan_of(spec: BuildSpec, folder: Path) -> tuple[Plan, WorkerRecipe]:
    weights = build_module.find_weights(spec.model)
    resolved = build_module.resolve_encoder(weights, "image", "cpu")
    inputs = build_module._inputs(spec, [resolved], weights.digest)
    plan = make_plan(folder / "plan", inputs, scan_source(open_source(inputs)))
    return plan, WorkerRecipe(
        spec.model, weights.digest, resolved.backend, "cpu", resolved.precision
    )


def test_a_shard_that_always_fails_is_named(
    cluster: TwoNodes, spec: BuildSpec, tmp_path: Path
) -> None:
    copy = shutil.copy(spec.source, tmp_path / "MR_test_imgs.tsv")
    plan, recipe = plan_of(replace(spec, source=str(copy)), tmp_path)
    Path(copy).unlink()
    store = ShardStore(tmp_path / "shards", plan.digest)
    message = rf"shard 0000\d\d failed 5 times, the last time on node 127\.0\.0\.1: .*{copy}"
    with pytest.raises(Unavailable, match=message):
        embed_on_ray(plan, store, {}, recipe, 64, cluster.address, NoProgress())


def test_a_shard_whose_workers_are_always_killed_is_named(
    cluster: TwoNodes, spec: BuildSpec, tmp_path: Path
) -> None:
    few = tmp_path / "MR_test_imgs.tsv"
    few.write_bytes(b"".join(Path(spec.source).read_bytes().splitlines(keepends=True)[:20]))
    plan, recipe = plan_of(replace(spec, source=str(few)), tmp_path)
    store = ShardStore(tmp_path / "shards", plan.digest)
    ended = threading.Event()

    def kill_all() -> None:
        while not ended.wait(0.01):
            for pid in cluster.worker_pids():
                with suppress(OSError):  # it has ended by itself
                    if "encode" in Path(f"/proc/{pid}/cmdline").read_text():
                        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        with pytest.raises(Unavailable, match=r"shard 000000 failed 5 times, .* process ended"):
            embed_on_ray(plan, store, {}, recipe, 64, cluster.address, NoProgress())
    finally:
        ended.set()
        killer.join()


def test_a_node_with_another_model_encodes_nothing(
    cluster: TwoNodes, spec: BuildSpec, tmp_path: Path
) -> None:
    model = Path(shutil.copy(spec.model, tmp_path / "tiny.pt"))
    plan, recipe = plan_of(replace(spec, model=str(model)), tmp_path)
    model.write_bytes(model.read_bytes() + b"\0")
    store = ShardStore(tmp_path / "shards", plan.digest)
    with pytest.raises(
        Unavailable, match=r"no worker starts on the Ray cluster: node 127\.0\.0\.1: "
    ):
        embed_on_ray(plan, store, {}, recipe, 64, cluster.address, NoProgress())
    assert not store.has(0)


def test_without_an_address_it_is_the_cluster_of_this_machine(
    cluster: TwoNodes,
    spec: BuildSpec,
    expected: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    handler = signal.getsignal(signal.SIGTERM)
    build(replace(spec, on="ray"), tmp_path / "bundle", NoProgress())
    assert digests(tmp_path / "bundle") == expected
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_cluster_that_is_not_there_is_named(spec: BuildSpec, tmp_path: Path) -> None:
    there = replace(spec, on="ray", ray_address="127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"no Ray cluster answers at 127\.0\.0\.1:9"):
        build(there, tmp_path / "bundle", NoProgress())


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "127.0.0.1", "head:"])
def test_an_address_of_another_form_is_refused(
    spec: BuildSpec, tmp_path: Path, address: str
) -> None:
    there = replace(spec, on="ray", ray_address=address)
    with pytest.raises(InvalidRequest, match="--ray-address is HOST:PORT"):
        build(there, tmp_path / "bundle", NoProgress())


def test_the_models_of_an_ensemble_encode_one_after_the_other(
    cluster: TwoNodes, spec: BuildSpec, second_model: Path, tmp_path: Path
) -> None:
    both = replace(spec, more_models=(str(second_model),), weights=(0.7, 0.3), views="flip")
    build(both, tmp_path / "local", NoProgress())
    report = build_on(cluster, both, tmp_path / "bundle")
    assert (report.encoded, report.counts.failed) == (300, BAD_LINES)
    assert digests(tmp_path / "bundle") == digests(tmp_path / "local")
