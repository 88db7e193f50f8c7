"""Vectors of published versions: what another build of the same source encodes again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tusou_indexer.build_record
from tusou_indexer.build import BuildReport, BuildSpec, build

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import ReusedVectors
from tusou.cli.progress import NoProgress

pytestmark = pytest.mark.usefixtures("quick_builds")


def run(spec: BuildSpec, out: Path, *, force: bool = False) -> BuildReport:
    return build(spec, out, NoProgress(), force=force)


@pytest.mark.parametrize(
    "changes",
    [{"index": "SQ8"}, {"prompt": "商品：{query}"}, {"target_recall": 0.5, "index": "SQ8"}],
    ids=["index", "prompt", "recall"],
)
def test_another_index_or_prompt_encodes_nothing_and_gives_the_bytes_of_a_new_build(
    text_spec: BuildSpec, tmp_path: Path, changes: dict[str, object]
) -> None:
    other = replace(text_spec, **changes)  # type: ignore[arg-type]
    run(text_spec, tmp_path / "b")
    again = run(other, tmp_path / "b")
    alone = run(other, tmp_path / "alone")
    assert (again.encoded, again.reused, alone.encoded, alone.reused) == (0, 20, 20, 0)
    assert again.version == alone.version  # the digest of every byte


def test_another_device_reuses_the_vectors_and_the_manifest_names_the_one_that_encoded(
    text_spec: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(text_spec, tmp_path / "b")
    assert run(replace(text_spec, device="auto"), tmp_path / "b").version == first.version
    again = run(replace(text_spec, device="auto", index="SQ8"), tmp_path / "b")
    assert (again.encoded, again.reused) == (0, 20)
    assert Bundle.open(tmp_path / "b").manifest.build["device"] == "cpu"


@pytest.mark.parametrize("changed", ["precision", "model", "preprocessing", "force"])
def test_vectors_of_anything_else_are_encoded_again(
    text_spec: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    run(text_spec, tmp_path / "b")
    spec = text_spec
    if changed == "precision":
        spec = replace(spec, precision="bf16")
    elif changed == "model":
        model = tmp_path / "other.pt"
        model.write_bytes(Path(spec.model).read_bytes() + b"\0")
        spec = replace(spec, model=str(model))
    elif changed == "preprocessing":
        monkeypatch.setitem(tusou_indexer.build_record.PREPROCESSING, "texts", "another")
    again = run(replace(spec, index="SQ8"), tmp_path / "b", force=changed == "force")
    assert (again.encoded, again.reused) == (20, 0)


def test_texts_of_a_changed_file_are_reused_and_the_manifest_says_so(
    text_spec: BuildSpec, tmp_path: Path
) -> None:
    first = run(text_spec, tmp_path / "b")
    long = {"id": "新", "text": "适合小个子女生夏天穿的" * 8}
    rows = [{"id": f"{n}.jpg#zhc#0", "text": f"第{n}件连衣裙"} for n in reversed(range(20))]
    source = tmp_path / "texts.jsonl"
    source.write_text("\n".join(map(json.dumps, [rows[0], long, *rows[1:]])))
    changed = replace(text_spec, source=str(source))
    again, alone = run(changed, tmp_path / "b"), run(changed, tmp_path / "alone")
    assert (again.encoded, again.reused, alone.encoded) == (1, 20, 21)
    assert again.counts.truncated == alone.counts.truncated == 1
    reusing, scratch = Bundle.open(tmp_path / "b"), Bundle.open(tmp_path / "alone")
    np.testing.assert_allclose(reusing.vectors, scratch.vectors, atol=1e-6)
    assert reusing.manifest.reused == (ReusedVectors(version=first.version, items=20),)
    assert scratch.manifest.reused == ()
    third = run(replace(changed, index="SQ8"), tmp_path / "b")
    assert (third.encoded, third.counts.truncated) == (0, 1)
    assert Bundle.open(tmp_path / "b").manifest.reused == (
        ReusedVectors(version=again.version, items=21),
    )


def test_lines_that_could_not_be_used_keep_their_reasons(
    text_spec: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(text_spec, tmp_path / "b")
    failures = Bundle.open(tmp_path / "b").path("failures.jsonl").read_bytes()
    run(replace(text_spec, index="SQ8"), tmp_path / "b")
    again = Bundle.open(tmp_path / "b")
    assert again.path("failures.jsonl").read_bytes() == failures
    assert [json.loads(line)["line"] for line in failures.splitlines()] == [10, 11]
    again.check_parts()


def test_a_damaged_version_lends_no_vectors(text_spec: BuildSpec, tmp_path: Path) -> None:
    folder = tmp_path / "b" / run(text_spec, tmp_path / "b").version
    vectors = np.load(folder / "vectors.npy")
    vectors[3] = -vectors[3]
    np.save(folder / "vectors.npy", vectors)
    assert run(replace(text_spec, index="SQ8"), tmp_path / "b").encoded == 20
