"""Averages of models: their weights, what is chosen on valid, and what cannot be averaged."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from tusou_lab.convert_model.run import convert_model
from tusou_lab.soup import scorer
from tusou_lab.soup.blend import Blend, read_blend
from tusou_lab.soup.cli import soup
from tusou_lab.soup.run import SoupReport, make_soup
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train.models import TrainableModel
from tusou_lab.train.models.cn_clip import new_network, save_checkpoint
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.validate import rank
from typer.testing import CliRunner

from tests.tusou_lab.train.training import TEXT, VISION
from tusou.core.errors import InputError, InvalidRequest, OutputExists
from tusou.encoders.checkpoint import read_tensors
from tusou.encoders.model_info import describe_model
from tusou.encoders.soup_record import read_soup
from tusou.encoders.training_prompt import training_prompt
from tusou.encoders.training_record import read_record
from tusou.evaluation.metrics import JudgedRanking

app = typer.Typer()
app.command()(soup)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy data, an untrained start, and three trainings of it from other seeds."""
    folder = tmp_path_factory.mktemp("soup")
    write_toy(folder / "data", [SplitSize("train", 24, 24), SplitSize("valid", 24, 12)], seed=1)
    architecture = folder / "tiny.json"
    architecture.write_text(json.dumps(VISION | TEXT))
    torch.manual_seed(0)
    save_checkpoint(new_network(architecture), folder / "start.pt", "start", 0, 0)
    for seed in range(3):
        spec = TrainSpec(str(folder / "start.pt"), 2, 8, 1e-3, 0.05, seed, "fp32")
        train(str(folder / "data"), spec, folder / f"{seed}.pt", device="cpu")
    return folder


@pytest.fixture
def models(folder: Path) -> list[str]:
    return [str(folder / f"{seed}.pt") for seed in range(3)]


def assert_is_average(path: Path, shares: dict[str, float]) -> None:
    tensors = read_tensors(path)
    states = {name: read_tensors(Path(name)) for name in shares}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            expected = sum(share * states[each][name].float() for each, share in shares.items())
            torch.testing.assert_close(tensor.float(), expected, rtol=1e-3, atol=1e-3)


def recall_of(report: SoupReport) -> float:
    assert report.record.mean_recall is not None
    return report.record.mean_recall


def test_a_uniform_soup_is_the_mean_of_all_weights(models: list[str], tmp_path: Path) -> None:
    out = tmp_path / "soup.pt"
    report = make_soup(models, out, method="uniform", device="cpu")
    assert_is_average(out, dict.fromkeys(models, 1 / 3))
    assert [member.share for member in report.record.members] == [
        pytest.approx(1 / 3, abs=1e-5)
    ] * 3
    assert report.record.valid is None
    assert report.gain is None
    assert read_soup(out) == report.record


def test_a_greedy_soup_is_not_worse_than_its_best_member(
    folder: Path, models: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "soup.pt"
    ruined = tmp_path / "ruined.pt"
    network = new_network(folder / "tiny.json")
    for parameter in network.parameters():
        parameter.data.zero_()
    network.visual.proj.data.normal_()
    save_checkpoint(network, ruined, "ruined", 0, 0)
    report = make_soup([str(ruined), *models], out, data=str(folder / "data"), device="cpu")
    assert report.best is not None
    assert report.best.mean_recall is not None
    assert recall_of(report) >= report.best.mean_recall
    shares = {member.model: member.share for member in report.record.members if member.share}
    assert report.best.model in shares
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    assert_is_average(out, shares)


def test_the_score_is_that_of_the_written_model(
    folder: Path, models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, scored = tmp_path / "soup.pt", []

    def record(model: TrainableModel, *arguments: Any) -> list[JudgedRanking]:
        scored.append({name: each.clone() for name, each in model.network.state_dict().items()})
        return rank(model, *arguments)

    monkeypatch.setattr(scorer, "rank", record)
    data = str(folder / "data")
    report = make_soup(models, out, method="uniform", data=data, device="cpu")
    written = read_tensors(out)
    assert all(torch.equal(scored[-1][name], each.float()) for name, each in written.items())
    again = tmp_path / "again.pt"
    alone = make_soup([str(out)], again, data=data, blend=Blend(models[0], 0.0), device="cpu")
    assert recall_of(alone) == recall_of(report)


PROMPT = "一张{query}的照片"


@pytest.fixture(scope="module")
def prompted(folder: Path) -> str:
    spec = TrainSpec(str(folder / "start.pt"), 1, 8, 1e-3, 0.05, 0, "fp32", prompt=PROMPT)
    train(str(folder / "data"), spec, folder / "prompted.pt", device="cpu")
    return str(folder / "prompted.pt")


def test_a_soup_has_the_prompt_of_its_members(folder: Path, prompted: str, tmp_path: Path) -> None:
    out, data = tmp_path / "soup.pt", str(folder / "data")
    start = Blend(str(folder / "start.pt"), 0.0)
    report = make_soup([prompted], out, data=data, blend=start, device="cpu")
    assert report.record.prompt == PROMPT
    assert training_prompt(out, report.record.sha256) == PROMPT
    trained = read_record(Path(prompted))
    assert trained is not None
    assert recall_of(report) == pytest.approx(trained.best_mean_recall, abs=1e-3)


def test_models_of_other_prompts_are_refused(
    models: list[str], prompted: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match=rf"different prompts.*0\.pt with ''.*{PROMPT}"):
        make_soup([models[0], prompted], tmp_path / "x.pt", method="uniform", device="cpu")
    with pytest.raises(InvalidRequest, match="different prompts"):
        make_soup(models[:1], tmp_path / "x.pt", blend=Blend(prompted, 0.5), device="cpu")


def test_models_that_read_images_in_other_ways_are_refused(tmp_path: Path, folder: Path) -> None:
    plain, cropped = tmp_path / "plain", tmp_path / "cropped"
    for path in (plain, cropped):
        convert_model(str(folder / "start.pt"), "transformers", path)
    settings = json.loads((cropped / "preprocessor_config.json").read_bytes())
    settings |= {"do_center_crop": True, "crop_size": {"height": 32, "width": 32}}
    settings["size"] = {"shortest_edge": 32}
    (cropped / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(
        InvalidRequest, match=r"cannot be averaged: .* read images and texts in the"
    ):
        make_soup([str(plain), str(cropped)], tmp_path / "x", method="uniform", device="cpu")


def test_start_is_the_model_of_the_records(folder: Path, models: list[str], tmp_path: Path) -> None:
    out = tmp_path / "blend.pt"
    blend = read_blend("start:0.25", models[:1])
    assert blend == Blend(str(folder / "start.pt"), 0.25)
    make_soup(models[:1], out, blend=blend, device="cpu")
    assert_is_average(out, {models[0]: 0.75, str(folder / "start.pt"): 0.25})


def test_a_share_is_chosen_on_valid(folder: Path, models: list[str], tmp_path: Path) -> None:
    out = tmp_path / "blend.pt"
    data = str(folder / "data")
    report = make_soup(
        models[:1], out, data=data, blend=Blend(str(folder / "start.pt"), None), device="cpu"
    )
    scores = [member.mean_recall for member in report.record.members]
    assert all(score is not None and recall_of(report) >= score for score in scores)
    shares = {member.model: member.share for member in report.record.members if member.share}
    assert_is_average(out, shares)


def test_a_share_after_a_colon_is_told_from_a_name(models: list[str]) -> None:
    assert read_blend("open_clip:ViT-B-32@a.pt", models) == Blend("open_clip:ViT-B-32@a.pt", None)
    assert read_blend("a.pt:1", models) == Blend("a.pt", 1.0)
    for text in ("a.pt:1.5", "a.pt:-0.1", "a.pt:nan"):
        with pytest.raises(InvalidRequest, match="between 0 and 1"):
            read_blend(text, models)


def test_start_needs_one_unchanged_model_with_weights(
    folder: Path, models: list[str], tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match="no record that says what it was trained from"):
        read_blend("start", [str(folder / "start.pt")])
    tuned = tmp_path / "tuned.pt"
    spec = TrainSpec(models[0], 1, 8, 1e-4, 0.05, 0, "fp32")
    train(str(folder / "data"), spec, tuned, device="cpu")
    with pytest.raises(InvalidRequest, match="not trained from the same model"):
        read_blend("start", [models[0], str(tuned)])
    grown = tmp_path / "grown.pt"
    spec = TrainSpec(str(folder / "tiny.json"), 1, 8, 1e-4, 0.05, 0, "fp32")
    train(str(folder / "data"), spec, grown, device="cpu")
    with pytest.raises(InvalidRequest, match="whose weights are random"):
        read_blend("start", [str(grown)])


def test_a_start_that_was_replaced_is_refused(folder: Path, tmp_path: Path) -> None:
    start, tuned = tmp_path / "start.pt", tmp_path / "tuned.pt"
    start.write_bytes((folder / "start.pt").read_bytes())
    train(
        str(folder / "data"), TrainSpec(str(start), 1, 8, 1e-4, 0.0, 0, "fp32"), tuned, device="cpu"
    )
    start.write_bytes((folder / "0.pt").read_bytes())
    with pytest.raises(InvalidRequest, match="has changed since"):
        read_blend("start:0.3", [str(tuned)])


def test_models_of_other_shapes_are_refused(
    folder: Path, models: list[str], tmp_path: Path
) -> None:
    wide = tmp_path / "wide.json"
    wide.write_text(json.dumps(VISION | TEXT | {"embed_dim": 32}))
    save_checkpoint(new_network(wide), tmp_path / "wide.pt", "wide", 0, 0)
    out = tmp_path / "soup.pt"
    with pytest.raises(InvalidRequest, match=r"cannot be averaged: text_projection is \(64, 64\)"):
        make_soup([models[0], str(tmp_path / "wide.pt")], out, method="uniform", device="cpu")
    with pytest.raises(InvalidRequest, match="cannot be averaged"):
        make_soup(
            [models[0], str(tmp_path / "wide.pt")], out, data=str(folder / "data"), device="cpu"
        )
    assert not out.exists()


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        pytest.param([0], {}, "two models or more", id="one"),
        pytest.param([0, 0], {}, "each model of a soup once", id="twice"),
        pytest.param([0, 1], {}, "greedy method chooses", id="greedy without data"),
        pytest.param([0], {"blend": None}, "--blend without a share chooses", id="no data"),
        pytest.param([0, 1], {"blend": 1, "method": "uniform"}, "among the models", id="itself"),
    ],
)
def test_refuses(
    models: list[str], tmp_path: Path, names: list[int], options: dict[str, object], message: str
) -> None:
    if "blend" in options:
        place = options["blend"]
        options = {**options, "blend": Blend(models[2 if place is None else 1], None)}
    with pytest.raises(InvalidRequest, match=message):
        make_soup([models[number] for number in names], tmp_path / "x.pt", **options)  # type: ignore[arg-type]


def test_an_existing_output_is_kept(models: list[str]) -> None:
    with pytest.raises(OutputExists):
        make_soup(models, Path(models[0]), method="uniform")
    with pytest.raises(InputError):
        make_soup([*models, "absent.pt"], Path(models[0] + ".new"), method="uniform")


def test_the_command_shows_each_model_and_what_was_chosen(
    folder: Path, models: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "soup.pt"
    options = ["--data", str(folder / "data"), "--device", "cpu"]
    done = CliRunner().invoke(app, [*models, "--out", str(out), *options])
    assert done.exit_code == 0, done.output
    assert all(name in done.output for name in models)
    assert "which it was chosen on: measure it on other queries" in done.output
    assert "; mean_recall " in describe_model(str(out)).rows()["soup"]
    again = CliRunner().invoke(app, [*models, "--out", str(out), *options, "--force", "--json"])
    assert (
        json.loads(again.stdout)["sha256"]
        == json.loads(out.with_name("soup.pt.soup.json").read_text())["sha256"]
    )
