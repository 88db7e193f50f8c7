"""`tusou sweep`: experiments that change one setting each, and the folder of their results."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from tusou_lab.evaluate.scoring import evaluate
from tusou_lab.evaluate.search_bundle import BundleSearchSpec
from tusou_lab.sweep.cli import sweep as command
from tusou_lab.sweep.experiments import SweepExperiment
from tusou_lab.sweep.output import read_sweep, result_json
from tusou_lab.sweep.run import SweepResult, SweepSpec, default_factories, sweep
from typer.testing import CliRunner

from tusou.bundle.bundle import Bundle
from tusou.core.errors import BadDataset, InvalidRequest

SPEC = SweepSpec(
    templates=("{query}", "这是一个商品搜索：{query}"),
    pools=(50, 100, 200),
    top_k=(1, 10, 300, 1000),
    factories=("Flat", "IVF4,Flat nprobe=1", "IVF4,Flat nprobe=4"),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def experiments(tiny_bundle: Path, queries: Path, cache: Path) -> dict[str, SweepExperiment]:
    result = sweep(tiny_bundle, queries, SPEC, cache)
    return {experiment.name: experiment for experiment in result.experiments}


def labels(experiment: SweepExperiment) -> list[str]:
    return [row.label for row in experiment.rows]


def test_experiments_have_a_row_per_value(experiments: dict[str, SweepExperiment]) -> None:
    assert labels(experiments["prompt"]) == ["{query}", "这是一个商品搜索：{query}", "ensemble"]
    assert labels(experiments["pool"]) == ["50", "100", "200", "300"]
    assert labels(experiments["top_k"]) == ["1", "10", "300"]  # no deeper than the pool
    assert labels(experiments["index"]) == list(SPEC.factories)
    assert labels(experiments["precision"]) == ["fp32", "bf16"]


def test_every_experiment_has_the_same_base(experiments: dict[str, SweepExperiment]) -> None:
    base = experiments["prompt"].rows[0].percent
    assert experiments["pool"].rows[-1].percent == base
    assert experiments["index"].rows[0].percent == base
    assert experiments["precision"].rows[0].percent == base
    assert experiments["top_k"].rows[0].percent["hit@k"] == base["hit@1"]


def test_pools_are_samples_of_images_with_their_queries(
    experiments: dict[str, SweepExperiment], tiny_bundle: Path, queries: Path
) -> None:
    rows = experiments["pool"].rows
    correct = [set(json.loads(line)["item_ids"]) for line in queries.read_text().splitlines()]
    ids = Bundle.open(tiny_bundle).ids
    order = np.random.default_rng(0).permutation(len(ids))
    for row in rows:
        sample = {ids.at(int(key)) for key in order[: int(row.label)]}
        assert row.measured["queries"] == sum(not items.isdisjoint(sample) for items in correct)
    assert rows[-1].measured["queries"] == len(correct)


def test_the_complete_pool_holds_every_correct_item(
    experiments: dict[str, SweepExperiment],
) -> None:
    deepest = experiments["top_k"].rows[-1].percent
    assert (deepest["hit@k"], deepest["recall@k"]) == (100.0, 100.0)
    assert deepest["precision@k"] == pytest.approx(100 / 300)


def test_probing_every_list_is_exact(experiments: dict[str, SweepExperiment]) -> None:
    flat, narrow, wide = (row.measured["index_recall@10"] for row in experiments["index"].rows)
    assert (flat, wide) == (100.0, 100.0)
    assert narrow < 100.0


def test_intervals_contain_the_score(experiments: dict[str, SweepExperiment]) -> None:
    for experiment in experiments.values():
        for row in experiment.rows:
            assert all(row.low[n] <= value <= row.high[n] for n, value in row.percent.items())


def test_a_second_sweep_encodes_nothing(
    experiments: dict[str, SweepExperiment], tiny_bundle: Path, queries: Path, cache: Path
) -> None:
    again = sweep(tiny_bundle, queries, SPEC, cache)
    assert again.encoded == 0
    assert [q.rows for q in again.experiments if q.name != "index"] == [
        experiments[q.name].rows for q in again.experiments if q.name != "index"
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(SweepSpec(pools=(301,)), "of 301 images of the 300", id="large"),
        pytest.param(SweepSpec(factories=("IVF",)), "'IVF' is not a FAISS factory", id="factory"),
        pytest.param(SweepSpec(factories=("Flat nprobe=1",)), "does not tune", id="tuning"),
        pytest.param(SweepSpec(precisions=("fp8",)), "No precision 'fp8'", id="precision"),
    ],
)  # fmt: skip
def test_refuses_invalid_values(
    spec: SweepSpec, message: str, tiny_bundle: Path, queries: Path, cache: Path
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        sweep(tiny_bundle, queries, spec, cache)


def test_every_unusable_query_is_reported(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    rows = [
        {"query_id": 1, "query_text": "裙", "item_ids": [1000]},
        {"query_id": 2, "query_text": " ", "item_ids": [1000]},
        {"query_id": 3, "query_text": "裙"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BadDataset, match=r"(?s)problems: 2\n.*q.jsonl:2: .*q.jsonl:3: "):
        sweep(tiny_bundle, path, SPEC, tmp_path / "cache")


def test_refusals_are_interpreted_unless_switched_off(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    rows = [
        {"query_id": n, "query_text": f"不带碎花的裙子{n}", "item_ids": [1000 + n]}
        for n in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    specs = [
        SweepSpec(factories=("Flat",), precisions=("fp32",), interpret=on) for on in (True, False)
    ]
    read, literal = (sweep(tiny_bundle, path, spec, tmp_path / "cache") for spec in specs)
    assert (read.base["interpret"], literal.base["interpret"]) == (True, False)
    for result, interpret in ((read, True), (literal, False)):
        search = BundleSearchSpec(10, interpret)
        scores = evaluate(tiny_bundle, path, spec=search).evaluation.percent
        assert result.experiments[0].rows[0].percent == {
            name: scores[name] for name in result.experiments[0].rows[0].percent
        }
    assert read.experiments[0].rows[0] != literal.experiments[0].rows[0]


def test_default_indexes_fit_the_pool() -> None:
    assert default_factories(30_000)[3:] == tuple(f"IVF128,Flat nprobe={n}" for n in (1, 4, 16))
    assert default_factories(160)[3:] == ("IVF4,Flat nprobe=1",)
    assert default_factories(155) == ("Flat", "SQ8", "HNSW32")


def test_the_command_writes_a_folder_that_can_be_read(
    tiny_bundle: Path, queries: Path, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.command()(command)
    words = [str(tiny_bundle), "--answers", str(queries), "--out", str(tmp_path / "out")]
    words += ["--index", "Flat", "--precision", "fp32", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    stored = read_sweep(tmp_path / "out")
    assert isinstance(stored, SweepResult)
    assert json.loads(done.stdout) == json.loads(json.dumps(result_json(stored)))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    curves = {f"{name}.svg" for name in ("prompt", "pool", "top_k", "index", "precision")}
    assert names == {"sweep.json", "sweep.md", "embeddings", *curves}
    page = (tmp_path / "out" / "sweep.md").read_text("utf-8")
    assert "| 这是一个商品搜索：{query} |" in page
    again = CliRunner().invoke(app, words)
    assert (again.exit_code, again.stderr.split(":")[0]) == (1, "output_exists")
    old = CliRunner().invoke(app, [*words, "--factory", "Flat"])
    assert old.exit_code == 2
    assert "'--factory': the option is now --index." in old.stderr


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text('{"tusou_sweep": 1}')
    with pytest.raises(BadDataset, match="run it again"):
        read_sweep(tmp_path)
