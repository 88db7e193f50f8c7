"""Every trial of a ladder reads refusals in the same way, and a folder holds one way alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from tusou_lab.improve.cli import improve as command
from tusou_lab.improve.halves import split_halves
from tusou_lab.improve.hub_rung import encode_judged
from tusou_lab.improve.ladder import read_ladder
from tusou_lab.improve.run import ImproveSpec, improve
from tusou_lab.improve.trials import TrialRunner
from typer.testing import CliRunner

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import OutputExists
from tusou.evaluation.judgments import read_judgments
from tusou.evaluation.runs import read_run
from tusou.retrieval.local import open_bundle

TEXTS = [f"{n}号裙子，不要{colour}" for n in range(3) for colour in ("红色", "碎花", "条纹")]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("answers") / "valid.jsonl"
    rows = (
        {"query_id": f"{n}.jpg", "query_text": text, "item_ids": [1000 + n]}
        for n, text in enumerate(TEXTS)
    )
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def test_trials_and_the_fit_of_hubs_read_refusals_alike(
    tiny_bundle: Path, answers: Path, tmp_path: Path
) -> None:
    judgments = read_judgments(answers)
    rankings, vectors = [], []
    for interpret in (True, False):
        trials = TrialRunner(
            tmp_path / str(interpret),
            str(answers),
            judgments,
            split_halves(judgments, 0),
            interpret=interpret,
        )
        run = trials.search(tiny_bundle, "plain").run
        with open_bundle(tiny_bundle) as bundle:
            expected = [bundle.search(text, 10, interpret=interpret) for text in TEXTS]
        rankings.append([run.rankings[row.query_id] for row in judgments.rows])
        assert rankings[-1] == [hits.item_ids for hits in expected]
        rows = encode_judged(tiny_bundle, judgments, trials.cache, interpret=interpret)
        best = (rows @ np.asarray(Bundle.open(tiny_bundle).vectors).T).max(axis=1)
        np.testing.assert_allclose(best, [hits.scores[0] for hits in expected], atol=1e-5)
        vectors.append(rows)
    assert rankings[0] != rankings[1]
    assert np.abs(vectors[0] - vectors[1]).max(axis=1).min() > 1e-4


@pytest.mark.services
@pytest.mark.timeout(600)
def test_a_ladder_records_the_choice_and_does_not_go_on_with_the_other(
    tiny_bundle: Path, answers: Path, tmp_path: Path
) -> None:
    out, reranker = tmp_path / "ladder", f"rerank:vectors:{tiny_bundle}"
    app = typer.Typer()
    app.command()(command)
    words = [tiny_bundle, "--answers", answers, "--try", f"feedback,{reranker}", "--out", out]
    done = CliRunner().invoke(app, [*map(str, words), "--no-interpret"])
    assert done.exit_code == 0, done.output
    assert read_ladder(out).options[-1] == "--no-interpret"
    header = read_run(out / "runs" / "choosing" / "plain.jsonl").header
    assert header is not None
    assert header.settings["interpret"] is False
    (scores,) = (out / "work" / "scores").iterdir()
    with open_bundle(tiny_bundle) as bundle:
        literal, subtracted = (
            [bundle.search(text, 1, interpret=interpret).scores[0] for text in TEXTS]
            for interpret in (False, True)
        )
    cosines = [row[1][0] for row in json.loads(scores.read_bytes())]
    assert cosines == pytest.approx(literal, abs=1e-5)
    assert cosines != pytest.approx(subtracted, abs=1e-5)
    (out / "ladder.json").unlink()  # as if the run had been stopped
    with pytest.raises(OutputExists, match="--no-interpret"):
        improve(tiny_bundle, ImproveSpec(str(answers), ("feedback",)), out, NoProgress())
