"""Answers that cannot match the pool are refused wherever they are scored; a few are warned of."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tusou_indexer.build import BuildSpec, build
from tusou_lab.compare.run import compare
from tusou_lab.evaluate.loading import load
from tusou_lab.evaluate.scoring import evaluate
from tusou_lab.evaluate.search_bundle import BundleSearchSpec
from tusou_lab.report.inputs import ReportSpec, read_report_data
from tusou_lab.sweep.run import SweepSpec, sweep
from typer.testing import CliRunner

from tusou.cli.main import _app
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset

CASES = Path(__file__).parents[2] / "cases"
KINDS = r"are integers \(such as 30000001\), those of .* are strings \(such as \"007\"\)"
TOP_ONE = BundleSearchSpec(top_k=1)


@pytest.fixture(scope="module")
def odd_bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index three images; one id has leading zeros, so that all ids are strings."""
    root = tmp_path_factory.mktemp("odd") / "bundle"
    pool = CASES / "pool-one-id-with-leading-zeros.tsv"
    build(BuildSpec(str(pool), str(tiny_model), workers=1), root, NoProgress())
    return root


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def query(number: int, *items: int | str) -> dict[str, object]:
    return {"query_id": number, "query_text": "裙", "item_ids": items}


def test_every_command_names_both_kinds_of_ids(odd_bundle: Path, tmp_path: Path) -> None:
    answers = CASES / "answers-as-integers.jsonl"
    with pytest.raises(BadDataset, match=KINDS):
        evaluate(odd_bundle, answers, TOP_ONE)
    with pytest.raises(BadDataset, match=KINDS):
        compare(odd_bundle, odd_bundle, answers, TOP_ONE)
    with pytest.raises(BadDataset, match=KINDS):
        sweep(odd_bundle, answers, SweepSpec(), tmp_path / "cache")
    with pytest.raises(BadDataset, match=KINDS):
        read_report_data(ReportSpec((odd_bundle,), (str(answers),)))


def test_a_run_file_is_checked_against_its_pool(odd_bundle: Path, tmp_path: Path) -> None:
    answers = CASES / "answers-as-integers.jsonl"
    run = write_rows(tmp_path / "run.jsonl", [query(1, "007")])
    spec = BundleSearchSpec(top_k=1, pool=odd_bundle)
    with pytest.raises(BadDataset, match=KINDS):
        evaluate(run, answers, spec)
    (tmp_path / "run.trec").write_text("1 Q0 007 1 0.5 x\n")
    (tmp_path / "answers.qrels").write_text("1 0 elsewhere 1\n")
    with pytest.raises(BadDataset, match="none of the 1 correct items"):
        evaluate(tmp_path / "run.trec", tmp_path / "answers.qrels", spec)


def test_answers_of_another_split_are_named_as_such(tiny_bundle: Path, tmp_path: Path) -> None:
    answers = write_rows(tmp_path / "train.jsonl", [query(1, 5), query(2, 6)])
    with pytest.raises(BadDataset, match=r"none of the 2 correct items of .*of another split"):
        evaluate(tiny_bundle, answers)
    run = write_rows(tmp_path / "run.jsonl", [query(number, 5) for number in range(100, 3100)])
    with pytest.raises(BadDataset) as raised:
        evaluate(run, answers, TOP_ONE)
    message = str(raised.value)
    assert "share no query; the answers are probably those of another split" in message
    assert "and 2982 more; all of them are in " in message
    assert len(message.splitlines()) == 22


def test_a_submission_of_another_pool_begins_with_the_reason(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    queries = write_rows(tmp_path / "queries.jsonl", [query(n) for n in range(50)])
    rows = [query(n, *range(10)) for n in range(50)]
    run = write_rows(tmp_path / "pred.jsonl", rows)
    with pytest.raises(BadDataset, match=r"no item of .*pred.jsonl is in the pool, which is prob"):
        load(run, queries, BundleSearchSpec(pool=tiny_bundle), submission=True)


def test_files_without_answers_are_called_a_test_split(tiny_bundle: Path, tmp_path: Path) -> None:
    answers = write_rows(tmp_path / "test.jsonl", [query(n) for n in range(3000)])
    with pytest.raises(BadDataset, match=r"no correct item for any of its 3000 queries, .* test"):
        evaluate(tiny_bundle, answers)
    with pytest.raises(BadDataset, match="as the queries of a test split"):
        read_report_data(ReportSpec((tiny_bundle,), (str(answers),)))


def test_some_missing_items_are_a_warning(tiny_bundle: Path, tmp_path: Path) -> None:
    answers = write_rows(tmp_path / "some.jsonl", [query(1, 1000, 5), query(2, 6)])
    for arguments in (["evaluate", str(tiny_bundle)], ["compare", *[str(tiny_bundle)] * 2]):
        done = CliRunner().invoke(_app(arguments[0]), [*arguments, "--answers", str(answers)])
        assert done.exit_code == 0
        warning = "warning: 2 of 3 correct items are not in the pool; no search can find them.\n"
        assert done.stderr.endswith(warning)


def test_names_of_flickr8k_cn_match_in_both_directions(tiny_model: Path, tmp_path: Path) -> None:
    from drawing import image_bytes
    from tusou_lab.convert.run import convert

    data = tmp_path / "flickr8k"
    (data / "Flicker8k_Dataset").mkdir(parents=True)
    names = [f"10{n}_693b.jpg" for n in range(6)]
    for number, name in enumerate(names):
        (data / "Flicker8k_Dataset" / name).write_bytes(image_bytes(number))
    captions = [f"{name}#zhc#{n} 第{n}条说明 {name}\n" for name in names for n in range(2)]
    (data / "flickr8kzhc.caption.txt").write_text("".join(captions), "utf-8")
    (data / "flickr8ktest.txt").write_text("".join(f"{name}\n" for name in names))
    source = f"{data}#test"
    convert(source, tmp_path / "texts", "muge", NoProgress())
    texts = str(tmp_path / "texts" / "MR_test_queries.jsonl")
    for name, items in (("images", source), ("captions", texts)):
        build(BuildSpec(items, str(tiny_model), workers=1), tmp_path / name, NoProgress())
        scored = evaluate(tmp_path / name, source, BundleSearchSpec(5)).evaluation
        assert scored.answers_outside_pool == 0
        assert scored.queries == (12 if name == "images" else 6)
        assert scored.percent["hit@5"] > 0
    run = evaluate(tmp_path / "captions", source, BundleSearchSpec(5)).run
    assert all("#zhc#" in str(item) for items in run.rankings.values() for item in items)
    convert(source, tmp_path / "numbered", "cnclip", NoProgress())
    texts = str(tmp_path / "numbered" / "test_texts.jsonl")
    build(BuildSpec(texts, str(tiny_model), workers=1), tmp_path / "numbered-b", NoProgress())
    with pytest.raises(BadDataset, match=r"are strings .* are integers"):
        evaluate(tmp_path / "numbered-b", source, BundleSearchSpec(5))


def test_english_queries_and_texts_are_pointed_out(
    tiny_bundle: Path, tiny_model: Path, tmp_path: Path
) -> None:
    rows = [{"query_id": n, "query_text": f"A dog {n}.", "item_ids": [1000]} for n in range(3)]
    answers = write_rows(tmp_path / "english.jsonl", rows)
    done = CliRunner().invoke(
        _app("evaluate"), ["evaluate", str(tiny_bundle), "--answers", str(answers)]
    )
    assert done.exit_code == 0
    sentence = "warning: 3 of 3 texts are in a language that the model does not know"
    assert sentence in " ".join(done.stderr.split())
    words = ["index", str(answers), "--out", str(tmp_path / "b"), "--model", str(tiny_model)]
    assert sentence in " ".join(CliRunner().invoke(_app("index"), words).stderr.split())
    checked = CliRunner().invoke(_app("check"), ["check", str(answers)])
    assert "without_chinese (all): queries without a Chinese character" in checked.stdout
