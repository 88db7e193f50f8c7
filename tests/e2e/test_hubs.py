"""Models of hubs through the real commands: indexed, found again at their commit, and refused."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hub_server import Fault, HubServer, Repository

from tusou.bundle.bundle import Bundle
from tusou.retrieval.compatibility import find_bundle_weights

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
DEMO = (ROOT / "tusou/demo/tusou-demo.pt").read_bytes()
COMMIT, NEWER = "a" * 40, "b" * 40
ID = "tusou-free/demo.model"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    repository = Repository({COMMIT: {"README.md": b"# demo", "tusou-demo.pt": DEMO}})
    with HubServer({ID: repository}).running() as server:
        yield server


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "条目.jsonl"
    rows = [{"id": f"{n}.jpg#zhc#0", "text": f"第{n}件连衣裙"} for n in range(6)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def tusou(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tusou", *map(str, words)]
    variables = {name: value for name, value in os.environ.items() if "_proxy" not in name.lower()}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**variables, **environment}
    )


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_a_bundle_finds_its_model_again_at_its_commit(
    hub: HubServer, texts: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    settings = {
        "HF_ENDPOINT": hub.url,
        "MODELSCOPE_ENDPOINT": hub.url,
        "TUSOU_MODELS": str(models),
    }
    hub.faults = [Fault(), Fault(break_after=1_000_000)]
    words = "index", texts, "--out", tmp_path / "bundle", "--device", "cpu"
    done = tusou(*words, "--model", ID, "--hub", name, **settings)
    assert done.returncode == 0, done.stderr
    size = -(-len(DEMO + b"# demo") // 1_000_000)
    assert f"downloading {ID} (MB) {size - 1}/{size} in" in done.stderr
    assert "tusou-demo.pt: the connection failed (RemoteProtocolError); again in" in done.stderr
    manifest = Bundle.open(tmp_path / "bundle").manifest
    assert manifest.model.location == f"{name}:{ID}@{COMMIT}"
    assert manifest.model.name == ID
    assert manifest.model.source is not None
    assert manifest.model.source.model_dump() == {"hub": name, "id": ID, "revision": COMMIT}
    assert manifest.model.sha256 == sha256(DEMO).hexdigest()

    shutil.rmtree(models)  # as on another machine, after the branch has moved
    files = hub.repositories[ID].commits
    hub.repositories[ID].commits = {NEWER: {"tusou-demo.pt": b"others"}, **files}
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    found = find_bundle_weights(manifest)
    assert found.members[0].path.read_bytes() == DEMO
    assert found.members[0].source == manifest.model.source


def test_the_same_model_by_its_hub_and_by_its_path_is_the_same_bundle_but_for_its_place(
    hub: HubServer, texts: Path, tmp_path: Path
) -> None:
    settings = {"HF_ENDPOINT": hub.url, "TUSOU_MODELS": str(tmp_path / "models")}
    words = "index", texts, "--out", tmp_path / "bundle", "--device", "cpu"
    tusou(*words, "--model", ID, **settings)
    again = tusou(*words, "--model", f"huggingface:{ID}@{COMMIT}", "--json", **settings)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["encoded"] == 0
    assert len(hub.paths("/storage/")) == 1


@pytest.mark.parametrize("verb", ["index", "embed", "train", "convert-model", "reproduce"])
def test_every_verb_says_within_its_one_line_how_to_get_a_model(
    texts: Path, tmp_path: Path, verb: str
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
    out = "--out", tmp_path / "out"
    model = "--model", "a/b"
    for split in ("valid", "train"):
        (tmp_path / f"MR_{split}_imgs.tsv").write_text("1\taGk=\n")
        row = {"query_id": 1, "query_text": "x", "item_ids": [1]}
        (tmp_path / f"MR_{split}_queries.jsonl").write_text(json.dumps(row) + "\n")
    words: dict[str, tuple[object, ...]] = {
        "index": (texts, *out, *model),
        "embed": (texts, *out, *model),
        "train": (tmp_path, *out, *model),
        "convert-model": ("a/b", "--to", "cnclip", *out),
        "reproduce": ("muge", "--data", tmp_path, *out, *model),
    }
    done = tusou(verb, *words[verb], "--hub", "modelscope", MODELSCOPE_ENDPOINT=endpoint)
    assert (done.returncode, done.stdout) == (1, "")
    *_, line = done.stderr.strip().splitlines()
    assert line.startswith(f"bad_model: could not download a/b from {endpoint}: ")
    assert "https://huggingface.co/a/b/tree/main" in line
    assert f"{endpoint}/models/a/b/files" in line


def test_an_unknown_hub_is_a_wrong_usage() -> None:
    done = tusou("index", "x", "--out", "y", "--model", "a/b", "--hub", "gitee")
    assert done.returncode == 2
    assert "'huggingface'" in done.stderr
