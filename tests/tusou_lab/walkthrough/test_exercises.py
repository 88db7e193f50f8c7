"""The walk-throughs on small data: real commands, and the files to hand in."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest
import typer
from drawing import image_bytes, image_line
from reading import write_file
from tusou_lab.run_commands import CommandRunner, ToySize
from tusou_lab.walkthrough import evalset, flickr8k, muge, teddy
from tusou_lab.walkthrough.cli import walkthrough as command
from tusou_lab.walkthrough.exercise import ExerciseInputs, choose_split, find_dataset, run_exercise
from typer.testing import CliRunner

from tusou.cli.main import VERBS
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.core.lazy_import import LazyImport
from tusou.data import open_dataset

pytestmark = pytest.mark.services

DOCS = Path(__file__).parents[3] / "docs"
SIZE = ToySize(items=80, queries=15, seed=5)
DRAWN = ExerciseInputs(SIZE)


class InProcessRunner(CommandRunner):
    """Runs the verbs in this process, which has already imported what they need."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(self.lines.append)

    def run(self, verb: str, *arguments: str, quiet: bool = False) -> str:
        self.command(verb, *arguments)
        app = typer.Typer()
        app.command()(LazyImport(VERBS[verb][0]).load())  # type: ignore[type-var]
        done = CliRunner().invoke(app, list(arguments))
        assert done.exit_code == 0, done.output
        if not quiet:
            self.lines.append(done.stdout)
        return done.stdout


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def verbs(echoed: str) -> list[str]:
    """Return the verbs that were run, in order."""
    return re.findall(r"^\$ tusou (\w+)", echoed, re.MULTILINE)


def documented(name: str) -> list[str]:
    page = (DOCS / f"walkthrough-{name}.md").read_text("utf-8")
    return re.findall(rf"`tusou (\w+) {name}/", page)


@pytest.mark.timeout(300)
def test_muge_from_files_to_submission(tmp_path: Path) -> None:
    runner = InProcessRunner()
    metrics, (predictions, packed) = muge.run(tmp_path, DRAWN, runner)
    queries = rows(tmp_path / "data" / "MR_test_queries.jsonl")
    assert all(row.keys() == {"query_id", "query_text"} for row in queries)
    submitted = rows(predictions)
    assert [row["query_id"] for row in submitted] == [row["query_id"] for row in queries]
    assert {len(set(row["item_ids"])) for row in submitted} == {10}
    with ZipFile(packed) as archive:
        (name,) = archive.namelist()
        lines = archive.read(name).decode().splitlines()
    assert [json.loads(line)["item_ids"] for line in lines] == [
        row["item_ids"] for row in submitted
    ]
    assert metrics["test"]["mean_recall"] > 80
    assert metrics["valid"]["mean_recall"] > 80
    assert documented("muge") == verbs("\n".join(runner.lines))


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").touch()
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, ["muge", "--dir", str(tmp_path)])
    assert (done.exit_code, done.stderr.split(":")[0]) == (1, "output_exists")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


@pytest.mark.timeout(300)
def test_flickr8k_both_ways_with_its_report(tmp_path: Path) -> None:
    runner = InProcessRunner()
    metrics, made = flickr8k.run(tmp_path, DRAWN, runner)
    assert metrics["text_to_image"]["hit@10"] > 80
    assert metrics["image_to_text"]["hit@10"] > 80
    page, twin = made
    assert page.read_text("utf-8").startswith("<!doctype html>")
    markdown = twin.read_text("utf-8")
    assert "text_to_image（以文搜图） | image_to_text（以图搜文）" in markdown
    assert " 参数曲线\n" in markdown
    assert documented("flickr8k") == verbs("\n".join(runner.lines))


@pytest.mark.timeout(300)
def test_teddy_writes_the_tables_of_both_tasks(tmp_path: Path) -> None:
    runner = InProcessRunner()
    metrics, made = teddy.run(tmp_path, DRAWN, runner)
    assert metrics["text_to_image"]["hit@5"] > 80
    assert metrics["image_to_text"]["hit@5"] > 80
    first, second = map(table, made)
    assert first[0] == ["text_id", "similarity_ranking", "result_image_id"]
    assert second[0] == ["image_id", "similarity_ranking", "result_text_id"]
    for task in (first, second):
        assert len(task) == 1 + 5 * SIZE.queries
        assert [row[1] for row in task[1:]] == ["1", "2", "3", "4", "5"] * SIZE.queries
    assert [path.name for path in made] == ["result1.csv", "result2.csv"]
    assert documented("teddy") == verbs("\n".join(runner.lines))


@pytest.mark.timeout(300)
def test_estimates_of_a_judged_set_stand_beside_the_truth(tmp_path: Path) -> None:
    runner = InProcessRunner()
    metrics, (table, card, page) = evalset.run(tmp_path, DRAWN, runner)
    assert metrics.keys() == {"plain", "prompted"}
    for values in metrics.values():
        names = [name for name in values if f"{name}_low" in values]
        assert names == ["estimated_precision@10", "estimated_recall@10"]  # of 80 images
        for name in names:
            truth = values[name.removeprefix("estimated_")]
            assert values[f"{name}_low"] <= truth <= values[f"{name}_high"]
    assert 5 < metrics["prompted"]["precision@10"] < metrics["plain"]["precision@10"]
    lines = table.read_text("utf-8").splitlines()
    assert lines[2].startswith("| plain | precision@10 | ")
    assert len(lines) == 6
    assert "# 商品" in card.read_text("utf-8")
    assert "李雷" in page.read_text("utf-8")
    echoed = "\n".join(runner.lines)
    assert "attributes and clip:" in echoed
    page_of_docs = (DOCS / "walkthrough-evalset.md").read_text("utf-8")
    steps = re.findall(r"`tusou ((?:evalset )?\w+) evalset/", page_of_docs)
    assert steps == re.findall(r"^\$ tusou ((?:evalset )?\w+)", echoed, re.MULTILINE)


def test_own_data_has_no_known_truth(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").touch()
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, ["evalset", "--dir", str(tmp_path), "--data", "own", "--force"])
    assert done.exit_code == 2
    assert "truth of your own data" in done.output
    assert (tmp_path / "kept.txt").exists()


# Layouts as the downloads have them; the images are drawn, and names are those of the originals.


def own(data: Path | str, model: Path) -> ExerciseInputs:
    return ExerciseInputs(SIZE, str(data), str(model))


def write_flickr8k_cn(root: Path) -> None:
    """Write Flickr8k-CN: lists without endings, a GIF called .jpg, a cut and an absent image."""
    images, lists = root / "Flicker8k_Dataset", root / "data"
    for folder in (images, lists):
        folder.mkdir(parents=True)
    names = [f"{1000268201 + number}_{number:x}93b08cb0e" for number in range(40)]
    for number, name in enumerate(names):
        if number != ABSENT:
            data = image_bytes(number, form="GIF" if number == GIF else "JPEG")
            (images / f"{name}.jpg").write_bytes(data[:60] if number == CUT else data)
    captions = (
        f"{name}.jpg#zhc#{count} 一个孩子在第{number}号公园里玩耍{count}\n"
        for number, name in enumerate(names)
        for count in range(5)
    )
    (lists / "flickr8kzhc.caption.txt").write_text("".join(captions), "utf-8")
    for split, part in {"train": names[:5], "val": names[5:10], "test": names[10:]}.items():
        (lists / f"flickr8k{split}.txt").write_text("".join(f"{name}\n" for name in part))


ABSENT, GIF, CUT = 13, 25, 30


@pytest.mark.timeout(300)
def test_the_files_of_flickr8k_cn_in_one_command(tmp_path: Path, tiny_model: Path) -> None:
    write_flickr8k_cn(tmp_path / "own" / "flickr8k")
    runner = InProcessRunner()
    inputs = own(tmp_path / "own", tiny_model)
    (tmp_path / "run").mkdir()
    metrics, made = flickr8k.run(tmp_path / "run", inputs, runner)
    # 29 of 30 images are there, and one of them is cut: its captions search and find nothing.
    for task in ("text_to_image", "image_to_text"):
        header, *ranked = rows(tmp_path / "run" / f"{task}.jsonl")
        assert header["settings"]["top_k"] == 10
        assert len(ranked) == {"text_to_image": 29 * 5, "image_to_text": 28}[task]
        assert metrics[task]["hit@10"] > 0
    ranked = rows(tmp_path / "run" / "image_to_text.jsonl")[1:]
    assert all(".jpg#zhc#" in json.dumps(row) for row in ranked)
    assert made[0].exists()
    assert "toy" not in verbs("\n".join(runner.lines))


def write_undivided(root: Path, *, count: int = 40) -> None:
    """Write English captions without lists, an absent image, and a GIF called .jpg."""
    (root / "images").mkdir(parents=True)
    captions = {}
    for number in range(count):
        name = f"{1000268201 + number}_{number:x}93b08cb0e.jpg"
        captions[name] = [f"A child in a pink dress is on stair {number}-{n} ." for n in range(5)]
        if number != ABSENT:
            form = "GIF" if number == GIF else "JPEG"
            (root / "images" / name).write_bytes(image_bytes(number, form=form))
    (root / "captions.json").write_text(json.dumps(captions))


@pytest.mark.timeout(300)
def test_files_without_splits_and_in_english(tmp_path: Path, tiny_model: Path) -> None:
    write_undivided(tmp_path / "own" / "flickr8k")
    runner = InProcessRunner()
    (tmp_path / "run").mkdir()
    inputs = own(tmp_path / "own", tiny_model)
    metrics, (_, twin) = flickr8k.run(tmp_path / "run", inputs, runner)
    assert runner.lines[0] == (
        "# captions.json: an object of images, each with its captions; 200 captions of 40 images, "
        "1 of which are not in images; no splits"
    )
    split = json.loads((tmp_path / "run" / "split" / "split.json").read_text())
    assert [(part["items"], part["queries"]) for part in split["splits"]] == [
        (29, 145),
        (5, 25),
        (5, 25),
    ]
    assert (split["seed"], split["failed"], split["queries_left_out"]) == (5, 0, 5)
    assert metrics.keys() == {"text_to_image", "image_to_text"}
    report = twin.read_text("utf-8")
    assert report.startswith("# 英文图文检索实验报告")
    assert "25 条英文查询" in report
    assert "商品" not in report
    assert "a photo of {query}" in report
    assert verbs("\n".join(runner.lines))[:3] == ["split", "convert", "index"]


@pytest.mark.timeout(300)
def test_fine_tuning_is_measured_beside_the_given_model(tmp_path: Path, tiny_model: Path) -> None:
    write_undivided(tmp_path / "own")
    runner = InProcessRunner()
    (tmp_path / "run").mkdir()
    inputs = replace(own(tmp_path / "own", tiny_model), epochs=1)
    metrics, (_, twin) = flickr8k.run(tmp_path / "run", inputs, runner)
    assert list(metrics) == [
        "text_to_image",
        "image_to_text",
        "text_to_image_tuned",
        "image_to_text_tuned",
    ]
    report = twin.read_text("utf-8")
    assert "text_to_image（A）与 text_to_image_tuned（B）" in report
    assert "在 145 条查询上训练 1 轮" in report
    assert verbs("\n".join(runner.lines)).count("train") == 1


def test_flickr8k_is_divided_as_its_authors_did(tmp_path: Path) -> None:
    rows = [{"image": f"{n}.jpg", "caption": "A dog ."} for n in range(8000)]
    (tmp_path / "images").mkdir()
    (tmp_path / "captions.json").write_text(json.dumps(rows))
    dataset = open_dataset(str(tmp_path))
    assert flickr8k.split_sizes(dataset) == [
        *("--train", "6000"),
        *("--valid", "1000"),
        *("--test", "1000"),
    ]
    (tmp_path / "captions.json").write_text(json.dumps(rows[1:]))
    dataset = open_dataset(str(tmp_path))
    assert flickr8k.split_sizes(dataset) == ["--valid", "0.125", "--test", "0.125"]


@pytest.mark.timeout(300)
def test_the_files_of_muge_in_one_command(tmp_path: Path, tiny_model: Path) -> None:
    data = tmp_path / "own" / "Multimodal_Retrieval"
    data.mkdir(parents=True)
    for split, first in (("valid", 0), ("test", 100)):
        lines = b"".join(image_line(first + number, first + number) for number in range(30))
        (data / f"MR_{split}_imgs.tsv").write_bytes(lines)
        queries = [{"query_id": n, "query_text": f"{n}号连衣裙"} for n in range(first, first + 20)]
        judged = {"item_ids": [first]} if split == "valid" else {}
        text = "".join(json.dumps(query | judged) + "\n" for query in queries)
        (data / f"MR_{split}_queries.jsonl").write_text(text)
    (tmp_path / "run").mkdir()
    inputs = own(tmp_path / "own", tiny_model)
    metrics, (predictions, packed) = muge.run(tmp_path / "run", inputs, InProcessRunner())
    assert metrics.keys() == {"valid"}
    assert [row["query_id"] for row in rows(predictions)] == list(range(100, 120))
    assert (predictions.name, packed.name) == ("test_pred.jsonl", "test_pred.zip")


@pytest.mark.timeout(300)
def test_the_attachments_of_teddy_in_one_command(tmp_path: Path, tiny_model: Path) -> None:
    words, images = tmp_path / "own" / "附件2", tmp_path / "own" / "附件3"
    names = [f"Image14001007-{number}.jpg" for number in range(30)]
    for folder in (words, images):
        (folder / "ImageData").mkdir(parents=True)
        for number, name in enumerate(names):
            (folder / "ImageData" / name).write_bytes(image_bytes(number))
    texts = [f'Word-{number},"第{number}段\r\n描述 "' for number in range(20)]
    tables = {
        words / "image_data.csv": ["image_id", *names],
        words / "word_test.csv": ["text_id,caption", *texts],
        images / "image_test.csv": ["image_id", *names[:20]],
        images / "word_data.csv": ["text_id,caption", *texts],
    }
    for path, lines in tables.items():
        path.write_text("\n".join(lines) + "\n", encoding="gbk")
    (tmp_path / "run").mkdir()
    inputs = own(tmp_path / "own", tiny_model)
    metrics, made = teddy.run(tmp_path / "run", inputs, InProcessRunner())
    assert metrics == {}
    first, second = map(table, made)
    assert [row[0] for row in first[1::5]] == [f"Word-{number}" for number in range(20)]
    assert [row[0] for row in second[1::5]] == names[:20]


def test_own_data_is_never_in_the_folder_that_is_emptied(tmp_path: Path) -> None:
    (tmp_path / "own" / "Images").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "own"):
        with pytest.raises(InvalidRequest, match="which is emptied; give another --dir"):
            run_exercise(flickr8k.run, folder, own(tmp_path / "own", tmp_path), print, force=True)
    assert (tmp_path / "own" / "Images").exists()


def test_data_of_another_kind_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "1.jpg").write_bytes(image_bytes(1))
    with pytest.raises(BadDataset, match="no queries or captions beside images"):
        find_dataset(str(tmp_path / "own"))
    with pytest.raises(BadDataset, match="does not exist"):
        find_dataset(str(tmp_path / "none"))


def test_an_exercise_finds_its_data_beside_that_of_another(tmp_path: Path) -> None:
    contest, photos = tmp_path / "contest", tmp_path / "photos"
    write_file(contest / "word_test.csv", "text_id,caption\nWord-1,裙\n")
    write_file(contest / "image_data.csv", "image_id\n1.jpg\n")
    write_file(contest / "ImageWordData.csv", "image_id,caption\n1.jpg,裙\n")
    write_file(contest / "ImageData" / "1.jpg", image_bytes(1))
    write_file(photos / "Images" / "1.jpg", image_bytes(1))
    write_file(photos / "flickr8kzhc.caption.txt", "1.jpg#zhc#0 一条狗\n")
    write_file(photos / "Flickr_8k.testImages.txt", "1.jpg\n")
    assert choose_split(str(tmp_path), "test", "val") == f"{photos}#test"
