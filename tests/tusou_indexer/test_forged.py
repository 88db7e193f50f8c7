"""Bundles that were forged with right digests, or damaged: refused by name, never a traceback."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tusou_indexer import build as build_module
from tusou_indexer.build import BuildSpec, build

import tusou.encoders
import tusou.retrieval.compatibility
from benchmarks.reliability.forgery import damage, forge, reseal, version_folder, write_manifest
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import ArtifactError, CorruptBundle
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import ItemPart, Query, TextPart

pytestmark = pytest.mark.usefixtures("quick_builds", "one_model")
QUERY = Query((TextPart("红色连衣裙"),), 10, 0)


@pytest.fixture
def one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the model of `quick_builds` once for all pipelines."""
    monkeypatch.setattr(tusou.retrieval.compatibility, "find_weights", build_module.find_weights)
    monkeypatch.setattr(tusou.encoders, "open_text_encoder", build_module.open_text_encoder)


@pytest.fixture
def bundle(text_spec: BuildSpec, tmp_path: Path) -> Path:
    build(text_spec, tmp_path / "b", NoProgress())
    return tmp_path / "b"


def open_and_search(root: Path) -> None:
    SearchPipeline.open(root, device="cpu").search([QUERY])


def refusal(root: Path) -> str | None:
    """Return the message of our error, or None if the bundle is served."""
    try:
        open_and_search(root)
    except ArtifactError as error:
        return str(error)
    return None


def test_random_damages_are_all_noticed(bundle: Path, tmp_path: Path) -> None:
    served = []
    for seed in range(40):
        copy = Path(shutil.copytree(bundle, tmp_path / f"copy-{seed}"))
        done = damage(copy, random.Random(seed))
        if refusal(copy) is None:
            served.append(done)
    assert served == []


def test_random_forgeries_are_served_or_refused_in_our_own_words(
    bundle: Path, tmp_path: Path
) -> None:
    refusals = []
    for seed in range(80):
        copy = Path(shutil.copytree(bundle, tmp_path / f"copy-{seed}"))
        forge(copy, random.Random(seed))
        refusals.append(refusal(copy))
    messages = [message for message in refusals if message is not None]
    assert len(messages) >= 40
    assert all(len(message) < 1500 and "\n" not in message for message in messages)


def forged_ids(folder: Path) -> None:
    lines = (folder / "ids.txt").read_bytes().splitlines()
    (folder / "ids.txt").write_bytes(b"\n".join([lines[0], lines[0], *lines[2:]]) + b"\n")


def forged_spans(folder: Path) -> None:
    spans = np.load(folder / "spans.npy")
    spans[2, 2] = 2**62
    np.save(folder / "spans.npy", spans)


def forged_golden(folder: Path) -> None:
    (folder / "golden.json").write_text('{"texts": ["\\ud800"], "vectors": [[1, 2], [3]]}')


def forged_files(folder: Path) -> None:
    (folder / "files.json").write_text("[" * 100_000)


def forged_index(folder: Path) -> None:
    (folder / "index.bin").write_bytes(b"IxFI" + b"\xff" * 64)


def forged_vectors(folder: Path) -> None:
    header = (folder / "vectors.npy").read_bytes().replace(b"(20, 64)", b"(2000000000, 64)")
    (folder / "vectors.npy").write_bytes(header)


@pytest.mark.parametrize(
    "change",
    [forged_ids, forged_spans, forged_golden, forged_files, forged_index, forged_vectors],
)
def test_a_part_that_makes_no_sense_is_refused_by_name(
    bundle: Path, change: Callable[[Path], None]
) -> None:
    change(version_folder(bundle))
    reseal(bundle)
    name = change.__name__.removeprefix("forged_")
    Bundle.open(bundle).verify()
    with pytest.raises(CorruptBundle, match=rf"{name}\.(txt|npy|json|bin)"):
        SearchPipeline.open(bundle, device="cpu")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"counts": {"items": 20, "embedded": 20, "failed": 2, "truncated": 0}}, "counts"),
        ({"index": {"type": "faiss", "factory": "Flat", "tuning": "nprobe=x"}}, "index"),
        ({"prompt": "no place"}, "prompt"),
        ({"files": {"../../etc/passwd": {"size": 1, "sha256": "0" * 64}}}, "top"),
        ({"format": "3"}, "format"),
        ({"format": True}, "format"),
    ],
    ids=["counts", "index", "prompt", "file-names", "format-text", "format-true"],
)
def test_a_manifest_that_makes_no_sense_is_refused_with_the_place(
    bundle: Path, changes: dict[str, object], place: str
) -> None:
    manifest = json.loads((version_folder(bundle) / "manifest.json").read_bytes())
    write_manifest(bundle, manifest | changes)
    with pytest.raises(CorruptBundle, match=rf"manifest\.json.*{place}"):
        SearchPipeline.open(bundle, device="cpu")


def test_a_service_survives_vectors_that_are_cut_while_it_runs(bundle: Path) -> None:
    pipeline = SearchPipeline.open(bundle, device="cpu")
    os.truncate(version_folder(bundle) / "vectors.npy", 200)
    with_item = Query((ItemPart("1015"),), 3, 0)
    results = pipeline.search([QUERY, with_item])
    assert len(results.hits[0].item_ids) == 10
    assert isinstance(results.hits[1], CorruptBundle)
