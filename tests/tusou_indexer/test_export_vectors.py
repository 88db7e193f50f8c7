"""`tusou embed`: vectors of images, texts and queries in files, and those of a bundle."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from drawing import image_line
from tusou_indexer import export_vectors as export_module
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.export_vectors import EmbedSpec, export_vectors

from tusou.bundle.bundle import Bundle
from tusou.bundle.publication import lock_bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import (
    BadDataset,
    CorruptBundle,
    InvalidRequest,
    Locked,
    OutputExists,
    TusouError,
)
from tusou.encoders import find_weights, load_text_encoder

PROMPT = "这是一个商品搜索：{query}"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 90 images of two shards, with a damaged one, a repeated id and an id in Chinese."""
    path = tmp_path_factory.mktemp("images") / "imgs.tsv"
    ids = [*(f"{n}.jpg" for n in range(88)), "连衣裙 01", "0.jpg"]
    lines = [image_line(item_id, n) for n, item_id in enumerate(ids)]
    path.write_bytes(b"".join([*lines[:40], b"bad\tAAAA\n", *lines[40:]]))
    return path


@pytest.fixture(scope="module")
def bundle(images: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "b"
    spec = BuildSpec(str(images), str(tiny_model), prompt=PROMPT, max_bad="2", device="cpu")
    build(spec, out, NoProgress())
    return out


@pytest.fixture
def spec(images: Path, tiny_model: Path) -> EmbedSpec:
    return EmbedSpec(str(images), str(tiny_model), device="cpu", workers=1)


def export(spec: EmbedSpec, out: Path) -> dict[str, object]:
    export_vectors(spec, out, NoProgress())
    record: dict[str, object] = json.loads((out / "embedding.json").read_text("utf-8"))
    return record


def vectors(out: Path) -> npt.NDArray[np.float32]:
    loaded: npt.NDArray[np.float32] = np.load(out / "vectors.npy", allow_pickle=False)
    return loaded


def ids(out: Path) -> list[str]:
    return (out / "ids.txt").read_text("utf-8").splitlines()


def failures_in(out: Path) -> list[tuple[int, str]]:
    rows = map(json.loads, (out / "failures.jsonl").read_text("utf-8").splitlines())
    return [(row["line"], row["item_id"]) for row in rows]


def encode(model: Path, texts: list[str], prompt: str | None = None) -> npt.NDArray[np.float32]:
    encoder = load_text_encoder(find_weights(str(model)), "cpu", prompt)
    return encoder.encode(encoder.prepare(texts))


def test_images_have_the_vectors_of_a_bundle_and_every_row_is_accounted_for(
    spec: EmbedSpec, bundle: Path, tmp_path: Path
) -> None:
    record = export(spec, tmp_path)
    indexed = Bundle.open(bundle)
    assert vectors(tmp_path).dtype == np.dtype("<f4")
    np.testing.assert_array_equal(vectors(tmp_path), indexed.vectors)
    assert ids(tmp_path) == [*(f"{n}.jpg" for n in range(88)), "连衣裙 01"]
    assert failures_in(tmp_path) == [(41, "bad"), (91, "0.jpg")]
    assert record["counts"] == {
        "items": 91,
        "embedded": 89,
        "failed": 2,
        "truncated": 0,
        "skipped": 0,
    }
    assert record["model"] == indexed.manifest.model.model_dump(mode="json", exclude={"location"})
    assert (record["kind"], record["prompt"]) == ("images", None)
    assert record["source_sha256"] == indexed.manifest.source.sha256
    assert record["preprocessing"] == indexed.manifest.preprocessing
    names = {"vectors.npy", "ids.txt", "failures.jsonl", "embedding.json", ".lock"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_texts_are_put_into_the_prompt(tiny_model: Path, tmp_path: Path) -> None:
    rows = [{"query_id": 10, "query_text": "圣诞 抱枕"}, {"id": "1.jpg#zhc#0", "text": "红裙"}]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "q.jsonl").write_text("\n".join([*lines, '{"id": 3, "text": " "}']))
    source = EmbedSpec(str(tmp_path / "q.jsonl"), str(tiny_model), prompt=PROMPT, device="cpu")
    record = export(source, tmp_path / "out")
    assert ids(tmp_path / "out") == ["10", "1.jpg#zhc#0"]
    expected = encode(tiny_model, ["圣诞 抱枕", "红裙"], PROMPT)
    np.testing.assert_allclose(vectors(tmp_path / "out"), expected, atol=1e-6)
    assert (record["kind"], record["prompt"]) == ("texts", PROMPT)
    assert (tmp_path / "out" / "failures.jsonl").read_text().count("empty text") == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("q.csv", "query_id,query_text\n7,圣诞 抱枕\n8,红裙\n", id="csv"),
        pytest.param("q.txt", "圣诞 抱枕\n红裙\n", id="plain"),
        pytest.param("q.json", '["圣诞 抱枕", "红裙"]', id="array"),
    ],
)
def test_query_files_of_other_forms_are_read(
    name: str, content: str, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    source = EmbedSpec(str(tmp_path / name), str(tiny_model), device="cpu")
    record = export(source, tmp_path / "out")
    np.testing.assert_allclose(
        vectors(tmp_path / "out"), encode(tiny_model, ["圣诞 抱枕", "红裙"]), atol=1e-6
    )
    assert record["kind"] == "queries"
    assert record["source"] == str(tmp_path / name)
    assert ids(tmp_path / "out") == (["7", "8"] if name == "q.csv" else ["1", "2"])


class Interrupted(NoProgress):
    """Stops after the first 64 rows that are encoded."""

    def __init__(self, left: int) -> None:
        self.left, self.begun = left, list[tuple[int, int]]()

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self.begun.append((total, done))

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.left -= steps
        if self.left < 0:
            raise KeyboardInterrupt


def test_an_interrupted_run_is_resumed_unless_the_prompt_is_another(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "_SHARD_ROWS", 8)
    monkeypatch.setattr(export_module, "_BATCH_ROWS", 4)
    (tmp_path / "q.txt").write_text("".join(f"第{n}件连衣裙\n" for n in range(20)))
    source = EmbedSpec(str(tmp_path / "q.txt"), str(tiny_model), device="cpu")
    whole = export(source, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        export_vectors(source, tmp_path / "cut", Interrupted(12))
    assert not (tmp_path / "cut" / "embedding.json").exists()
    prompted = EmbedSpec(str(tmp_path / "q.txt"), str(tiny_model), prompt=PROMPT, device="cpu")
    started_over = Interrupted(0)
    with pytest.raises(KeyboardInterrupt):
        export_vectors(prompted, tmp_path / "cut", started_over)
    resumed = Interrupted(12)
    export_vectors(source, tmp_path / "cut", resumed)
    assert (started_over.begun, resumed.begun) == ([(20, 0)], [(20, 8)])
    assert json.loads((tmp_path / "cut" / "embedding.json").read_text()) == whole
    np.testing.assert_array_equal(vectors(tmp_path / "cut"), vectors(tmp_path / "whole"))


def test_a_bundle_is_copied_without_its_model(bundle: Path, tmp_path: Path) -> None:
    record = export(EmbedSpec(str(bundle)), tmp_path)
    opened = Bundle.open(bundle)
    assert (tmp_path / "vectors.npy").read_bytes() == opened.path("vectors.npy").read_bytes()
    assert ids(tmp_path)[-1] == "连衣裙 01"
    assert (record["version"], record["kind"]) == (opened.version, "images")
    assert record["counts"] == opened.manifest.counts.model_dump()


def test_a_damaged_bundle_is_not_copied(bundle: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "b" / Bundle.open(bundle).version
    damaged.mkdir(parents=True)
    for path in Bundle.open(bundle).folder.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    (tmp_path / "b" / "CURRENT").write_text(damaged.name)
    data = bytearray((damaged / "vectors.npy").read_bytes())
    data[-1] ^= 1
    (damaged / "vectors.npy").write_bytes(data)
    with pytest.raises(CorruptBundle, match=r"vectors\.npy has changed"):
        export(EmbedSpec(str(tmp_path / "b")), tmp_path / "out")
    assert not (tmp_path / "out" / "embedding.json").exists()


def test_queries_of_a_bundle_are_encoded_as_its_service_searches(
    bundle: Path, tiny_model: Path, tmp_path: Path
) -> None:
    rows = ['{"query_id": 1, "query_text": "红裙"}', '{"query_id": 2, "query_text": "  "}']
    rows += ['{"query_id": 3, "query_text": "不带拉链的包"}', '{"query_id": 1, "query_text": "鞋"}']
    (tmp_path / "q.jsonl").write_text("\n".join(rows))
    record = export(EmbedSpec(str(bundle), queries=str(tmp_path / "q.jsonl")), tmp_path / "out")
    red, bag, zips, written = encode(tiny_model, ["红裙", "包", "拉链", "不带拉链的包"], PROMPT)
    assert ids(tmp_path / "out") == ["1", "3"]
    searched = vectors(tmp_path / "out")
    np.testing.assert_allclose(searched[0], red, atol=1e-5)
    with_refusal = np.linalg.lstsq(np.stack([bag, zips]).T, searched[1], rcond=None)
    assert float(with_refusal[1][0]) < 1e-8
    assert with_refusal[0][0] > 0 > with_refusal[0][1]
    assert record["prompt"] == PROMPT
    assert failures_in(tmp_path / "out") == [(2, "2"), (4, "1")]
    plain = EmbedSpec(str(bundle), queries=str(tmp_path / "q.jsonl"), interpret=False)
    export(plain, tmp_path / "plain")
    np.testing.assert_allclose(vectors(tmp_path / "plain")[1], written, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        pytest.param({"model": None}, InvalidRequest, "give the model", id="no-model"),
        pytest.param({"queries": "q"}, InvalidRequest, "belongs to a bundle", id="queries"),
        pytest.param({"prompt": "裙"}, InvalidRequest, "exactly once", id="template"),
        pytest.param({"prompt": PROMPT}, InvalidRequest, "is for texts", id="images"),
        pytest.param({"source": "none"}, BadDataset, "does not exist", id="source"),
    ],
)
def test_refuses(
    spec: EmbedSpec,
    options: dict[str, str],
    error: type[TusouError],
    message: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message):
        export(replace(spec, **options), tmp_path)  # type: ignore[arg-type]


def test_a_bundle_takes_no_other_model(bundle: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="leave out --model"):
        export(EmbedSpec(str(bundle), str(tiny_model)), tmp_path)


def test_a_source_without_a_usable_row_says_where_the_reasons_are(
    tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "imgs.tsv").write_text("1\tAAAA\n")
    source = EmbedSpec(str(tmp_path / "imgs.tsv"), str(tiny_model), device="cpu", workers=1)
    with pytest.raises(BadDataset, match=r"reasons are in .*failures\.jsonl"):
        export(source, tmp_path / "out")


def test_finished_vectors_and_foreign_files_are_not_overwritten(
    bundle: Path, tmp_path: Path
) -> None:
    source = EmbedSpec(str(bundle))
    export(source, tmp_path / "out")
    with pytest.raises(OutputExists, match="--force"):
        export(source, tmp_path / "out")
    export_vectors(source, tmp_path / "out", NoProgress(), force=True)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExists, match="something else"):
        export_vectors(source, tmp_path / "out", NoProgress(), force=True)


def test_one_folder_has_one_writer(bundle: Path, tmp_path: Path) -> None:
    with (
        lock_bundle(tmp_path / "out"),
        pytest.raises(Locked, match="another `tusou embed` is writing"),
    ):
        export(EmbedSpec(str(bundle)), tmp_path / "out")


def test_the_command_prints_what_it_read(bundle: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tusou", "embed", str(bundle), "--out", str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "91 images read = 89 vectors of 64 + 2 listed in failures.jsonl" in done.stdout
    again = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr.split(":")[0]) == (1, "output_exists")
    done = subprocess.run([*words, "--force", "--json"], capture_output=True, check=True)
    report = json.loads(done.stdout)
    assert (report["kind"], report["dim"], report["counts"]["embedded"]) == ("images", 64, 89)
