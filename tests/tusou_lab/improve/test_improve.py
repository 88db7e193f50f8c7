"""`tusou improve`: planted queries that a stage helps, hurts, or helps on one half only."""

from pathlib import Path

import pytest
from tusou_lab.compare.run import compare
from tusou_lab.improve.halves import split_halves
from tusou_lab.improve.ladder import Ladder, find_ladder, read_ladder
from tusou_lab.improve.run import ImproveSpec, improve
from tusou_lab.report.inputs import ReportSpec
from tusou_lab.report.run import make_report
from tusou_lab.strings import Language, strings_in

from tests.tusou_lab.improve.planted import WriteAnswers
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, InvalidRequest, OutputExists
from tusou.evaluation.judgments import read_judgments

QUERIES = 60
pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]  # runs commands as processes


def run(bundle: Path, answers: Path, out: Path, *rungs: str, costs: bool = False) -> Ladder:
    spec = ImproveSpec(str(answers), rungs or ("feedback",), costs=costs)
    return improve(bundle, spec, out, NoProgress())


@pytest.fixture(scope="module")
def helped(
    tiny_bundle: Path, write_answers: WriteAnswers, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, Ladder]:
    """Climb on queries that feedback helps; return answers, folder and ladder."""
    folder = tmp_path_factory.mktemp("helped")
    answers = write_answers(folder / "valid.jsonl", [True] * QUERIES)
    ladder = run(tiny_bundle, answers, folder / "ladder", costs=True)
    return answers, folder / "ladder", ladder


def test_a_stage_that_helps_is_taken(helped: tuple[Path, Path, Ladder]) -> None:
    _, out, ladder = helped
    (rung,) = ladder.alone
    assert rung.verdict == "taken"
    assert rung.gains["mean_recall"].low > 0
    assert ladder.together == ladder.alone
    assert ladder.best.rungs == ("feedback",)
    feedback = Bundle.open(out / "bundle").manifest.stages.feedback
    assert feedback is not None
    assert rung.settings == f"--feedback {feedback.items}:{feedback.weight:g}"
    assert Bundle.open(out / "bundle").version == ladder.best.version


def test_a_gain_is_that_of_tusou_compare_on_the_confirming_half(
    helped: tuple[Path, Path, Ladder],
) -> None:
    _, out, ladder = helped
    runs = out / "runs" / "confirming"
    answers = out / "answers" / "confirming.jsonl"
    compared = compare(runs / "plain.jsonl", runs / "feedback.jsonl", answers)
    change, gain = compared.metrics["mean_recall"], ladder.alone[0].gains["mean_recall"]
    assert compared.queries == ladder.confirming == QUERIES // 2
    assert (gain.before, gain.after) == (change.a, change.b)
    assert (gain.low, gain.high) == pytest.approx(change.interval)
    assert gain.p == change.p


def test_the_halves_are_disjoint_files(helped: tuple[Path, Path, Ladder]) -> None:
    answers, out, _ = helped
    halves = [
        {row.query_id for row in read_judgments(out / "answers" / f"{half}.jsonl").rows}
        for half in ("choosing", "confirming")
    ]
    assert halves[0].isdisjoint(halves[1])
    assert halves[0] | halves[1] == {row.query_id for row in read_judgments(answers).rows}


def test_costs_are_measured_beside_the_plain_bundle(helped: tuple[Path, Path, Ladder]) -> None:
    cost = helped[2].alone[0].cost
    assert cost is not None
    assert min(cost.ms, cost.plain_ms, cost.memory_mb, cost.plain_memory_mb) > 0
    assert cost.disk_mb == cost.plain_disk_mb > 0  # feedback needs no file


def test_the_ladder_is_read_as_it_was_written(helped: tuple[Path, Path, Ladder]) -> None:
    _, out, ladder = helped
    assert read_ladder(out) == ladder
    page = (out / "ladder.md").read_text("utf-8")
    assert "| feedback |" in page
    assert "| taken |" in page
    assert "Only 30 queries confirm" in page


def test_a_finished_ladder_is_not_replaced(
    helped: tuple[Path, Path, Ladder], tiny_bundle: Path
) -> None:
    answers, out, _ = helped
    with pytest.raises(OutputExists, match="holds a ladder"):
        run(tiny_bundle, answers, out)


def test_a_stopped_run_continues(
    helped: tuple[Path, Path, Ladder], tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the searches: all trials are on the disk."""
    answers, out, ladder = helped
    (out / "ladder.json").unlink()
    monkeypatch.setattr("tusou_lab.improve.trials.search_bundle", None)
    again = run(tiny_bundle, answers, out)
    assert [rung.gains for rung in again.alone] == [rung.gains for rung in ladder.alone]
    assert again.best.version == ladder.best.version


def test_a_stage_that_hurts_is_not_taken(
    tiny_bundle: Path, write_answers: WriteAnswers, tmp_path: Path
) -> None:
    answers = write_answers(tmp_path / "valid.jsonl", [False] * QUERIES)
    ladder = run(tiny_bundle, answers, tmp_path / "ladder")
    assert [rung.verdict for rung in ladder.alone] == ["no_gain"]
    assert (ladder.together, ladder.best.rungs) == ((), ())
    assert Bundle.open(tmp_path / "ladder" / "bundle").manifest.stages.names == ()


def test_a_stage_that_helps_where_it_was_chosen_only_is_not_taken(
    tiny_bundle: Path, write_answers: WriteAnswers, tmp_path: Path
) -> None:
    answers = write_answers(tmp_path / "valid.jsonl", [True] * QUERIES)
    choosing = set(split_halves(read_judgments(answers), 0).choosing.tolist())
    answers = write_answers(answers, [number in choosing for number in range(QUERIES)])
    (rung,) = run(tiny_bundle, answers, tmp_path / "ladder").alone
    assert rung.chosen_gain > 0
    assert rung.verdict in {"worse", "holds_zero"}  # the weaker settings hurt less
    assert rung.gains["mean_recall"].gain < 0


def test_a_stage_that_helps_one_confirming_query_is_not_taken(
    tiny_bundle: Path, write_answers: WriteAnswers, tmp_path: Path
) -> None:
    answers = write_answers(tmp_path / "valid.jsonl", [True] * QUERIES)
    halves = split_halves(read_judgments(answers), 0)
    effects: list[bool | None] = [None] * QUERIES
    for position in (*halves.choosing.tolist(), int(halves.confirming[0])):
        effects[position] = True
    answers = write_answers(answers, effects)
    ladder = run(tiny_bundle, answers, tmp_path / "ladder")
    gain = ladder.alone[0].gains["mean_recall"]
    assert ladder.alone[0].verdict == "holds_zero"
    assert gain.low == 0
    assert ladder.best.rungs == ()


@pytest.mark.parametrize(
    ("rungs", "message"),
    [
        pytest.param(("feedbak",), "--try feedbak: the rungs are feedback", id="unknown"),
        pytest.param((" ,",), "--try names no rung", id="none"),
        pytest.param(("feedback", "feedback"), "names feedback twice", id="twice"),
    ],
)
def test_refuses_rungs(
    rungs: tuple[str, ...],
    message: str,
    tiny_bundle: Path,
    helped: tuple[Path, Path, Ladder],
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        run(tiny_bundle, helped[0], tmp_path / "ladder", *rungs)
    assert not (tmp_path / "ladder").exists()


def test_refuses_queries_without_answers(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text('{"query_id": 1, "query_text": "裙"}\n')
    with pytest.raises(BadDataset, match="has no correct item"):
        run(tiny_bundle, path, tmp_path / "ladder")


def test_refuses_a_folder_with_other_files(
    tiny_bundle: Path, helped: tuple[Path, Path, Ladder], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("不要删除")
    with pytest.raises(OutputExists, match="holds other files"):
        run(tiny_bundle, helped[0], tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "不要删除"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_report_shows_the_ladder_that_its_runs_belong_to(
    language: Language, helped: tuple[Path, Path, Ladder], tiny_bundle: Path, tmp_path: Path
) -> None:
    _, out, ladder = helped
    spec = ReportSpec(
        (out / "runs" / "confirming" / "plain.jsonl",),
        (str(out / "answers" / "confirming.jsonl"),),
        (tiny_bundle,),
        language=language,
        examples=0,
    )
    make_report(spec, tmp_path / "report.html")
    text = (tmp_path / "report.md").read_text("utf-8")
    words, gain = strings_in(language), ladder.alone[0].gains["mean_recall"]
    assert f" {words['ladder']}\n" in text
    assert f"| {gain.gain:+.2f} | \\[{gain.low:+.2f}, {gain.high:+.2f}] |" in text.replace(
        "| [", "| \\["
    )
    assert words["ladder_taken"] in text
    assert words["ladder_note_few_queries"].format(queries=30) in text
    assert "tusou improve" in text  # among the commands to reproduce


def test_a_report_of_other_runs_has_no_ladder(tmp_path: Path) -> None:
    assert find_ladder((tmp_path / "runs" / "a.jsonl", tmp_path / "b.jsonl")) is None


def test_a_ladder_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ladder.json").write_text('{"tusou_ladder": 2}')
    with pytest.raises(BadDataset, match="was not written by this version"):
        read_ladder(tmp_path)
