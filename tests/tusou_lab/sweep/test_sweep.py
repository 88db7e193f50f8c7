"""`tusou sweep`: one setting changes, the rest stays; the folder it leaves can be read again."""

import json
from pathlib import Path

import pytest
import typer
from tusou_lab.sweep.cli import sweep as command
from tusou_lab.sweep.experiments import Question
from tusou_lab.sweep.output import read
from tusou_lab.sweep.run import Sweep, SweepSpec, default_factories, sweep
from typer.testing import CliRunner

from tusou.core.errors import BadDataset, InvalidRequest

SPEC = SweepSpec(
    templates=("{query}", "这是一个商品搜索：{query}"),
    pools=(50, 100, 200),
    top_k=(1, 10, 300, 1000),
    factories=("Flat", "IVF4,Flat nprobe=1", "IVF4,Flat nprobe=4"),
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def found(tiny_bundle: Path, queries: Path, kept: Path) -> dict[str, Question]:
    result = sweep(tiny_bundle, queries, SPEC, kept)
    return {question.name: question for question in result.questions}


def labels(question: Question) -> list[str]:
    return [row.label for row in question.rows]


def test_asks_what_was_wanted(found: dict[str, Question]) -> None:
    assert labels(found["prompt"]) == ["{query}", "这是一个商品搜索：{query}", "ensemble"]
    assert labels(found["pool"]) == ["50", "100", "200", "300"]
    assert labels(found["top_k"]) == ["1", "10", "300"]  # no deeper than the pool
    assert labels(found["index"]) == list(SPEC.factories)
    assert labels(found["precision"]) == ["fp32", "bf16"]


def test_the_base_is_the_same_in_every_question(found: dict[str, Question]) -> None:
    base = found["prompt"].rows[0].percent
    assert found["pool"].rows[-1].percent == base
    assert found["index"].rows[0].percent == base
    assert found["precision"].rows[0].percent == base
    assert found["top_k"].rows[0].percent["hit@k"] == base["hit@1"]


def test_smaller_pools_are_easier_and_hold_all_answers(found: dict[str, Question]) -> None:
    for name in ("hit@1", "hit@5", "hit@10"):
        curve = [row.percent[name] for row in found["pool"].rows]
        assert curve == sorted(curve, reverse=True)
    assert found["pool"].rows[0].percent["hit@10"] > found["pool"].rows[-1].percent["hit@10"]


def test_the_whole_pool_holds_every_answer(found: dict[str, Question]) -> None:
    deepest = found["top_k"].rows[-1].percent
    assert (deepest["hit@k"], deepest["recall@k"]) == (100.0, 100.0)
    assert deepest["precision@k"] == pytest.approx(100 / 300)


def test_an_index_that_looks_everywhere_is_exact(found: dict[str, Question]) -> None:
    flat, narrow, wide = (row.measured["index_recall@10"] for row in found["index"].rows)
    assert (flat, wide) == (100.0, 100.0)
    assert narrow < 100.0


def test_bounds_hold_the_figure(found: dict[str, Question]) -> None:
    for question in found.values():
        for row in question.rows:
            assert all(row.low[n] <= value <= row.high[n] for n, value in row.percent.items())


def test_a_second_sweep_encodes_nothing(
    found: dict[str, Question], tiny_bundle: Path, queries: Path, kept: Path
) -> None:
    again = sweep(tiny_bundle, queries, SPEC, kept)
    assert again.encoded == 0
    assert [q.rows for q in again.questions if q.name != "index"] == [
        found[q.name].rows for q in again.questions if q.name != "index"
    ]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param(SweepSpec(pools=(20,)), "of 20 is not between the 40 correct", id="small"),
        pytest.param(SweepSpec(pools=(301,)), "and the 300 items", id="large"),
        pytest.param(SweepSpec(factories=("IVF",)), "'IVF' is no FAISS factory", id="factory"),
        pytest.param(SweepSpec(factories=("Flat nprobe=1",)), "does not tune", id="tuning"),
        pytest.param(SweepSpec(precisions=("fp8",)), "No precision 'fp8'", id="precision"),
    ],
)  # fmt: skip
def test_refuses(spec: SweepSpec, said: str, tiny_bundle: Path, queries: Path, kept: Path) -> None:
    with pytest.raises(InvalidRequest, match=said):
        sweep(tiny_bundle, queries, spec, kept)


def test_queries_that_cannot_be_asked_are_named(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    rows = [
        {"query_id": 1, "query_text": "裙", "item_ids": [1000]},
        {"query_id": 2, "query_text": " ", "item_ids": [1000]},
        {"query_id": 3, "query_text": "裙"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BadDataset, match=r"(?s)queries: 2\n.*q.jsonl:2: .*q.jsonl:3: "):
        sweep(tiny_bundle, path, SPEC, tmp_path / "kept")


def test_default_indexes_fit_the_pool() -> None:
    assert default_factories(30_000)[3:] == tuple(f"IVF128,Flat nprobe={n}" for n in (1, 4, 16))
    assert default_factories(160)[3:] == ("IVF4,Flat nprobe=1",)
    assert default_factories(155) == ("Flat", "SQ8", "HNSW32")


def test_the_command_leaves_a_folder_that_a_report_can_read(
    tiny_bundle: Path, queries: Path, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.command()(command)
    words = [str(tiny_bundle), "--answers", str(queries), "--out", str(tmp_path / "out")]
    words += ["--factory", "Flat", "--precision", "fp32", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    stored = read(tmp_path / "out")
    assert isinstance(stored, Sweep)
    assert json.loads(done.stdout) == json.loads(json.dumps(stored.as_json()))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    drawn = {f"{name}.svg" for name in ("prompt", "pool", "top_k", "index", "precision")}
    assert names == {"sweep.json", "sweep.md", "embeddings", *drawn}
    page = (tmp_path / "out" / "sweep.md").read_text("utf-8")
    assert "| 这是一个商品搜索：{query} |" in page
    again = CliRunner().invoke(app, words)
    assert (again.exit_code, again.stderr.split(":")[0]) == (1, "output_exists")


def test_another_folder_is_no_sweep(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text('{"tusou_sweep": 2}')
    with pytest.raises(BadDataset, match="sweep again"):
        read(tmp_path)
