"""Fusion of runs: against plain formulas, planted systems, and files as contestants have them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import typer
from tusou_lab.evaluate.scoring import evaluate
from tusou_lab.fuse.candidates import collect_candidates
from tusou_lab.fuse.cli import fuse as command
from tusou_lab.fuse.methods import fused_scores, normalise
from tusou_lab.fuse.run import FusionSpec, fuse
from tusou_lab.fuse.transductive import dual_softmax
from tusou_lab.fuse.weights import fit_weights
from typer.testing import CliRunner, Result

from tusou.core.errors import BadDataset, InvalidRequest
from tusou.core.ids import ItemId
from tusou.evaluation.runs import Run, RunHeader, format_run, read_run


def run_command(*words: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(word) for word in words])


Ranking = Sequence[tuple[ItemId, float]]


def make_run(rankings: Mapping[ItemId, Ranking], *, scores: bool = True) -> Run:
    return Run(
        {query: line for line, query in enumerate(rankings, start=2)},
        {query: tuple(item for item, _ in ranking) for query, ranking in rankings.items()},
        scores={q: tuple(s for _, s in ranking) for q, ranking in rankings.items() if scores},
        header=RunHeader(bundle=None, model=None, index=None),
    )


def write_run(path: Path, rankings: Mapping[ItemId, Ranking], *, scores: bool = True) -> Path:
    path.write_text(format_run(make_run(rankings, scores=scores)), "utf-8")
    return path


A: dict[ItemId, Ranking] = {"q1": [("a", 0.9), ("b", 0.8), ("c", 0.5)]}
B: dict[ItemId, Ranking] = {"q1": [("c", 0.4), ("d", 0.35), ("a", 0.2)]}


def fused(
    method: str, how: str = "minmax", weights: Sequence[float] = (1.0, 1.0)
) -> dict[str, float]:
    (query,) = collect_candidates([make_run(A), make_run(B)], ["q1"], with_scores=True)
    scores = fused_scores(query, method, how, np.array(weights))  # type: ignore[arg-type]
    return dict(zip(map(str, query.items), scores.tolist(), strict=True))


def test_reciprocal_ranks_are_those_of_the_paper() -> None:
    assert fused("rrf") == pytest.approx(
        {"a": 1 / 61 + 1 / 63, "c": 1 / 63 + 1 / 61, "b": 1 / 62, "d": 1 / 62}
    )


def test_sums_of_scores_on_a_common_scale() -> None:
    sums = {"a": 1.0 + 0.0, "b": 0.75, "c": 0.0 + 1.0, "d": 0.75}
    assert fused("combsum") == pytest.approx(sums)
    assert fused("combmnz") == pytest.approx(sums | {"a": 2.0, "c": 2.0})
    assert fused("weights", weights=(0.25, 0.75)) == pytest.approx(
        {"a": 0.25, "b": 0.1875, "c": 0.75, "d": 0.5625}
    )


def test_votes_count_runs_and_ranks_decide_between_equal_ones() -> None:
    scores = fused("votes")
    assert {item: round(score, 3) for item, score in scores.items()} == {
        "a": 2,
        "c": 2,
        "b": 1,
        "d": 1,
    }
    assert fused("votes", weights=(1.0, 0.9))["a"] > fused("votes", weights=(1.0, 0.9))["c"]


def test_ranks_and_standard_scores_are_scales_too() -> None:
    (query,) = collect_candidates([make_run(A), make_run(B)], ["q1"], with_scores=True)
    assert query.items == ("a", "c", "b", "d")
    assert normalise(query, "rank") == pytest.approx(
        np.array([[1, 1 / 3], [1 / 3, 1], [2 / 3, 0], [0, 2 / 3]])
    )
    standard = normalise(query, "zscore")
    own = standard[[0, 2, 1], 0]  # a, b, c
    assert (own.mean(), own.std()) == pytest.approx((0, 1))
    assert standard[3, 0] == own.min()  # d, which the first run does not return


def test_equal_scores_and_empty_rankings_are_no_trouble() -> None:
    runs = [make_run({"q": [("a", 0.5), ("b", 0.5)]}), make_run({"q": []})]
    (query,) = collect_candidates(runs, ["q"], with_scores=True)
    assert normalise(query, "minmax").tolist() == [[1, 0], [1, 0]]
    assert normalise(query, "zscore").tolist() == [[0, 0], [0, 0]]
    assert normalise(query, "rank").tolist() == [[1, 0], [0.5, 0]]


def planted(
    path: Path, seed: int, *, knows: Sequence[int], count: int = 60
) -> tuple[Path, dict[ItemId, Ranking]]:
    """Write a run that ranks the correct item first for the queries it knows, else at random."""
    random = np.random.default_rng(seed)
    rankings: dict[ItemId, Ranking] = {}
    for query in range(count):
        items = [f"{query}.jpg#zhc#{n}" for n in range(1, 30)]
        random.shuffle(items)
        scores = np.sort(random.uniform(0.1, 0.3, len(items) + 1))[::-1]
        place = 0 if query in knows else 25
        if query in knows:
            scores[0] = 0.9
        items.insert(place, f"{query}.jpg#zhc#0")
        rankings[f"问{query}"] = list(zip(items, scores.tolist(), strict=True))
    return write_run(path, rankings), rankings


def write_answers(path: Path, count: int = 60) -> Path:
    rows = (
        {"query_id": f"问{n}", "query_text": "裙", "item_ids": [f"{n}.jpg#zhc#0"]}
        for n in range(count)
    )
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_systems_that_know_different_queries_gain_and_the_gain_has_an_interval(
    tmp_path: Path,
) -> None:
    a, _ = planted(tmp_path / "a.jsonl", 1, knows=range(40))
    b, _ = planted(tmp_path / "b.jsonl", 2, knows=range(20, 60))
    answers = write_answers(tmp_path / "answers.jsonl")
    report = fuse([a, b], tmp_path / "out.jsonl", FusionSpec("weights"), answers)
    assert report.fitted is not None
    assert report.fitted.single == pytest.approx((66.67, 66.67), abs=0.1)
    assert report.fitted.gain > 10
    assert report.fitted.interval[0] > 0
    assert sum(report.weights) == pytest.approx(1)
    score = evaluate(tmp_path / "out.jsonl", answers).evaluation
    assert score.percent["mean_recall"] == pytest.approx(report.fitted.fitted)
    settings = (read_run(tmp_path / "out.jsonl").header or RunHeader()).settings  # type: ignore[call-arg]
    assert settings["fusion"] == "weights"
    assert settings["runs"] == "a.jsonl, b.jsonl"


def test_a_useless_system_gets_no_weight_and_no_gain(tmp_path: Path) -> None:
    good, _ = planted(tmp_path / "a.jsonl", 1, knows=range(60))
    noise, _ = planted(tmp_path / "b.jsonl", 2, knows=())
    answers = write_answers(tmp_path / "answers.jsonl")
    report = fuse([good, noise], tmp_path / "out.jsonl", FusionSpec("weights"), answers)
    assert report.fitted is not None
    assert report.fitted.gain == 0
    assert report.fitted.interval == (0, 0)
    assert report.weights[0] >= 0.5


def test_three_runs_of_one_system_fuse_to_that_system() -> None:
    runs = [make_run(A)] * 3
    (query,) = collect_candidates(runs, ["q1"], with_scores=True)
    for method in ("rrf", "combsum", "combmnz", "votes"):
        scores = fused_scores(query, method, "minmax", np.ones(3))  # type: ignore[arg-type]
        assert np.argsort(-scores, kind="stable").tolist() == [0, 1, 2]
    fitted = fit_weights([query], [{"c"}], "minmax", "mrr@10")
    assert fitted.fitted == pytest.approx(100 / 3)
    assert fitted.weights == pytest.approx((1 / 3,) * 3, abs=0.06)  # nearest to equal ones


def test_weights_of_valid_are_used_on_test(tmp_path: Path) -> None:
    valid = [
        planted(tmp_path / f"{name}-valid.jsonl", seed, knows=knows)[0]
        for name, seed, knows in (("a", 1, range(55)), ("b", 2, range(50, 60)))
    ]
    test = [
        planted(tmp_path / f"{name}-test.jsonl", seed, knows=range(9), count=20)[0]
        for name, seed in (("a", 3), ("b", 4))
    ]
    answers = write_answers(tmp_path / "answers.jsonl")
    spec = FusionSpec("weights")
    report = fuse(test, tmp_path / "out.jsonl", spec, answers, valid)
    assert report.queries == 20
    assert report.fitted is not None
    assert report.fitted.single[0] > report.fitted.single[1]


def test_dual_softmax_lowers_an_item_that_every_query_finds() -> None:
    rankings: dict[ItemId, Ranking] = {
        f"q{n}": [("hub", 0.31), (f"own{n}", 0.30)] for n in range(10)
    } | {"q10": [("hub", 0.50), ("own10", 0.30)]}
    candidates = collect_candidates([make_run(rankings)], list(rankings), with_scores=True)
    corrected = dual_softmax(candidates)
    first = [query.items[int(np.argmin(query.ranks[:, 0]))] for query in corrected]
    assert first == [*(f"own{n}" for n in range(10)), "hub"]


def test_a_transductive_run_says_so(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a.jsonl", A)
    result = run_command(run, "--out", tmp_path / "o.jsonl", "--transductive")
    assert result.exit_code == 0
    assert "no service can do this" in result.output
    header = read_run(tmp_path / "o.jsonl").header
    assert header is not None
    assert header.settings["transductive"] is True


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (FusionSpec("weights"), "needs --weights, or --answers"),
        (FusionSpec("combsum", weights=(1.0,)), "1 weights for 2 runs"),
        (FusionSpec("combsum", weights=(-1.0, 1.0)), "0 or more"),
        (FusionSpec("combsum", weights=(0.0, 0.0)), "one of them above 0"),
        (FusionSpec("combsum", weights=(float("nan"), 1.0)), "0 or more"),
        (FusionSpec("combsum"), "run 2 has no scores"),
    ],
)
def test_options_that_do_not_fit_are_told(tmp_path: Path, spec: FusionSpec, problem: str) -> None:
    a = write_run(tmp_path / "a.jsonl", A)
    b = write_run(tmp_path / "b.jsonl", B, scores=False)
    with pytest.raises(InvalidRequest, match=problem):
        fuse([a, b], tmp_path / "out.jsonl", spec)
    assert not (tmp_path / "out.jsonl").exists()


def test_runs_without_scores_are_fused_by_ranks(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a.jsonl", A, scores=False)
    b = write_run(tmp_path / "b.jsonl", B, scores=False)
    for spec in (FusionSpec("rrf"), FusionSpec("votes"), FusionSpec("combsum", "rank")):
        run = fuse([a, b], tmp_path / "out.jsonl", spec).run
        assert set(run.rankings["q1"][:2]) == {"a", "c"}


def test_runs_of_other_queries_are_refused_with_file_and_line(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a.jsonl", A | {"q2": [("a", 0.5)]})
    b = write_run(tmp_path / "b.jsonl", B | {"q3": [("a", 0.5)]})
    with pytest.raises(BadDataset) as raised:
        fuse([a, b], tmp_path / "out.jsonl", FusionSpec())
    assert f'{a}:3: query "q2" has no row in {b}' in str(raised.value)
    assert f'{b}:3: query "q3" has no row in {a}' in str(raised.value)
    (tmp_path / "c.jsonl").write_text("not a run\n")
    with pytest.raises(BadDataset, match=r"c\.jsonl:1"):
        fuse([a, tmp_path / "c.jsonl"], tmp_path / "out.jsonl", FusionSpec())


def test_integer_ids_and_those_of_a_trec_run_are_one(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a.jsonl", {7: [(30, 0.9), (31, 0.8)]})
    b = tmp_path / "b.trec"
    b.write_text("7 Q0 31 1 0.9 x\n7 Q0 32 2 0.8 x\n")
    assert fuse([a, b], tmp_path / "out.jsonl", FusionSpec()).run.rankings["7"][0] == "31"


def test_the_output_is_not_replaced_without_force(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a.jsonl", A), write_run(tmp_path / "b.jsonl", B)
    words = (a, b, "--out", b)
    before = b.read_bytes()
    refused = run_command(*words)
    assert refused.exit_code == 1
    assert "output_exists" in refused.output
    assert b.read_bytes() == before
    done = run_command(*words, "--force", "--json")
    assert json.loads(done.output)["queries"] == 1
