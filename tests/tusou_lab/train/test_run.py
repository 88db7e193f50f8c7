"""Training runs: bit-exact resumption, every data format, checkpoints that cn_clip reads."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from time import sleep

import pytest
import torch
import typer
from cn_clip.clip import utils as cn_clip_utils
from drawing import image_bytes, image_line
from tusou_indexer.cli import info
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train import run
from tusou_lab.train.data import load_split
from tusou_lab.train.history import thin_out
from tusou_lab.train.run import TrainReport, TrainSpec, train
from tusou_lab.train.stopping import TrainingStopped
from typer.testing import CliRunner

from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, BadModel, InputError, OutputExists
from tusou.core.files import sha256_of
from tusou.core.hardware import describe_machine
from tusou.data import open_dataset
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.checkpoint import read_tensors
from tusou.encoders.training_record import read_record, record_path

VISION = {
    "embed_dim": 64,
    "image_resolution": 32,
    "vision_layers": 1,
    "vision_width": 64,
    "vision_patch_size": 16,
}
TEXT = {
    "vocab_size": 21128,
    "text_attention_probs_dropout_prob": 0.1,
    "text_hidden_act": "gelu",
    "text_hidden_dropout_prob": 0.1,  # so that resuming has a random stream to restore
    "text_hidden_size": 64,
    "text_initializer_range": 0.02,
    "text_intermediate_size": 64,
    "text_max_position_embeddings": 64,
    "text_num_attention_heads": 1,
    "text_num_hidden_layers": 1,
    "text_type_vocab_size": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("toy")
    write_toy(folder, [SplitSize("train", 24, 24), SplitSize("valid", 20, 6)], seed=1)
    return str(folder)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> TrainSpec:
    path = tmp_path_factory.mktemp("model") / "tiny.json"
    path.write_text(json.dumps(VISION | TEXT))
    return TrainSpec(str(path), 3, 8, 1e-3, 0.05, 7, "fp32")


@pytest.fixture(scope="module")
def uninterrupted(
    data: str, spec: TrainSpec, tmp_path_factory: pytest.TempPathFactory
) -> TrainReport:
    """Train once without interruption."""
    return train(data, spec, tmp_path_factory.mktemp("uninterrupted") / "model.pt", device="cpu")


class KillAfter(NoProgress):
    """Interrupts the run after a number of steps."""

    def __init__(self, steps: int) -> None:
        self._left: int | None = None
        self._steps = steps

    def begin(self, label: str, total: int, done: int = 0) -> None:
        if label == "training":
            self._left = self._steps

    def advance(self, note: str = "") -> None:
        if self._left is not None:
            self._left -= 1
            if not self._left:
                raise KeyboardInterrupt


def assert_same_weights(a: Path, b: Path) -> None:
    ours, theirs = read_tensors(a), read_tensors(b)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_only_the_best_checkpoint_and_the_cache_remain(uninterrupted: TrainReport) -> None:
    folder = uninterrupted.checkpoint.parent
    assert sorted(path.name for path in folder.iterdir()) == [
        ".pixels",
        "model.pt",
        "model.pt.json",
    ]
    saved = torch.load(uninterrupted.checkpoint, weights_only=True)
    assert sorted(saved) == ["epoch", "name", "state_dict", "step"]
    assert (saved["epoch"], saved["name"]) == (uninterrupted.best_epoch, "model")
    assert (saved["step"], uninterrupted.steps) == (uninterrupted.best_epoch * 3, 9)
    assert all(key.startswith("module.") for key in saved["state_dict"])
    assert not any("pooler" in key for key in saved["state_dict"])


@pytest.mark.parametrize("steps", [4, 9])
def test_a_killed_run_resumes_to_the_same_weights(
    data: str,
    spec: TrainSpec,
    uninterrupted: TrainReport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
) -> None:
    monkeypatch.setattr(run, "_SAVE_SECONDS", 0.0)
    out = tmp_path / "model.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", progress=KillAfter(steps))
    resumed = train(data, spec, out, device="cpu")
    assert (resumed.best_epoch, resumed.best_mean_recall) == (
        uninterrupted.best_epoch,
        uninterrupted.best_mean_recall,
    )
    assert_same_weights(out, uninterrupted.checkpoint)
    ours, theirs = read_record(out), read_record(uninterrupted.checkpoint)
    assert ours
    assert theirs
    assert ours.losses == theirs.losses
    assert [epoch.percent for epoch in ours.epochs] == [epoch.percent for epoch in theirs.epochs]


def test_settings_data_and_losses_are_kept_beside_the_checkpoint(
    data: str, spec: TrainSpec, uninterrupted: TrainReport
) -> None:
    record = read_record(uninterrupted.checkpoint)
    assert record
    assert record.checkpoint_sha256 == sha256_of(uninterrupted.checkpoint)
    settings = {"device": "cpu", "threads": torch.get_num_threads()}
    assert record.settings == asdict(spec) | settings
    assert record.train.source == f"{data}#train"
    assert (record.train.images, record.train.queries) == (24, 24)
    assert (record.valid.images, record.valid.queries) == (20, 6)
    assert record.train.sha256 != record.valid.sha256
    assert [step for step, _ in record.losses] == list(range(1, 10))
    assert [epoch.epoch for epoch in record.epochs] == [1, 2, 3]
    first = [loss for _, loss in record.losses[:3]]
    assert record.epochs[0].loss == pytest.approx(sum(first) / 3, abs=1e-5)
    best = max(epoch.percent["mean_recall"] for epoch in record.epochs)
    assert record.best_mean_recall == best == uninterrupted.best_mean_recall
    assert record.epochs[record.best_epoch - 1].percent["mean_recall"] == best
    assert record.steps == 9
    assert record.machine == describe_machine()


def test_info_shows_the_training_of_a_checkpoint(
    uninterrupted: TrainReport, tiny_model: Path, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.command()(info)
    path = uninterrupted.checkpoint
    shown = CliRunner().invoke(app, [str(path)]).stdout
    assert "image tower  32 pixels, 1 layers, 64 wide\n" in shown
    assert "epochs 3, batch_size 8, lr 0.001" in shown
    assert re.findall(r"^epoch (\d) +loss \d", shown, re.M) == ["1", "2", "3"]
    assert shown.count("(kept)") == 1
    described = json.loads(CliRunner().invoke(app, [str(path), "--json"]).stdout)
    assert described["sha256"] == sha256_of(path)
    assert described["training"]["best_epoch"] == uninterrupted.best_epoch
    copy = tmp_path / "model.pt"
    copy.write_bytes(tiny_model.read_bytes())
    assert "not recorded" in CliRunner().invoke(app, [str(copy)]).stdout
    (tmp_path / "model.pt.json").write_bytes(record_path(path).read_bytes())
    assert "is about another checkpoint" in CliRunner().invoke(app, [str(copy)]).stdout
    (tmp_path / "model.pt.json").write_text("{}")
    refused = CliRunner().invoke(app, [str(copy)])
    assert (refused.exit_code, refused.stderr.split(":")[0]) == (1, "bad_model")


def test_a_long_curve_is_thinned_to_means() -> None:
    points = thin_out([float(step) for step in range(1000)], 200)
    assert len(points) == 200
    assert (points[0], points[-1]) == ((5, 2.0), (1000, 997.0))
    assert thin_out([2.0, 4.0, 9.0], 2) == [(2, 3.0), (3, 9.0)]


class SignalAfter(NoProgress):
    """Sends this process a signal after a number of steps."""

    def __init__(self, number: signal.Signals, steps: int) -> None:
        self._number, self._left, self._training = number, steps, False

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self._training = label == "training"

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._left -= self._training
        if self._training and not self._left:
            signal.raise_signal(self._number)


@pytest.mark.parametrize(
    ("number", "steps", "at"),
    [
        pytest.param(signal.SIGTERM, 4, 4, id="in an epoch"),
        pytest.param(signal.SIGINT, 6, 6, id="at the end of an epoch, which is validated"),
    ],
)
def test_a_signal_saves_and_the_same_command_goes_on(
    data: str,
    spec: TrainSpec,
    uninterrupted: TrainReport,
    tmp_path: Path,
    number: signal.Signals,
    steps: int,
    at: int,
) -> None:
    handler, out = signal.getsignal(number), tmp_path / "model.pt"
    stopper = SignalAfter(number, steps)
    message = f"{number.name} at step {at} of 9.*same command again"
    with pytest.raises(TrainingStopped, match=message):
        train(data, spec, out, device="cpu", progress=stopper)
    assert signal.getsignal(number) is handler
    state = torch.load(tmp_path / "model.pt.state", weights_only=True)
    assert (state["step"], len(state["history"]["epochs"])) == (at, at // 3)
    train(data, spec, out, device="cpu")
    assert_same_weights(out, uninterrupted.checkpoint)
    assert not (tmp_path / "model.pt.state").exists()


def test_a_signal_at_the_last_step_is_too_late(
    data: str, spec: TrainSpec, uninterrupted: TrainReport, tmp_path: Path
) -> None:
    out = tmp_path / "model.pt"
    stopper = SignalAfter(signal.SIGTERM, 9)
    assert train(data, spec, out, device="cpu", progress=stopper).steps == 9
    assert_same_weights(out, uninterrupted.checkpoint)


@pytest.mark.timeout(180)
def test_the_command_stops_without_a_traceback_and_its_threads_wait_passively(
    tmp_path: Path, spec: TrainSpec
) -> None:
    data, out = tmp_path / "data", tmp_path / "model.pt"
    write_toy(data, [SplitSize("train", 24, 24), SplitSize("valid", 20, 6)], seed=1)
    command = [sys.executable, "-m", "tusou", "train", str(data), "--model", spec.model]
    command += ["--out", str(out), "--epochs", "100000", "--batch-size", "8", "--device", "cpu"]
    environment = {name: text for name, text in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "true"}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        while not out.exists():  # the first epoch is over
            assert process.poll() is None
            sleep(0.02)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate()
    assert process.returncode == 130
    assert printed == ""
    assert "Traceback" not in errors
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in errors
    last = errors.strip().replace("\n", " ")
    assert "interrupted: SIGINT at step" in last
    assert (tmp_path / "model.pt.state").exists()


def test_nothing_is_learnt_from_a_pair_nor_measured_with_one_image(
    spec: TrainSpec, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()

    def write(split: str, count: int) -> None:
        lines = b"".join(image_line(number, number * 3) for number in range(count))
        (folder / f"MR_{split}_imgs.tsv").write_bytes(lines)
        rows = ({"query_id": n, "query_text": "裙", "item_ids": [n]} for n in range(count))
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"MR_{split}_queries.jsonl").write_text(text)

    write("train", 1)
    write("valid", 3)
    with pytest.raises(BadDataset, match="#train: nothing can be learnt from 1 queries and 1 im"):
        train(str(folder), spec, tmp_path / "x.pt", device="cpu")
    write("train", 4)
    write("valid", 1)
    with pytest.raises(BadDataset, match="#valid: nothing can be measured with 1 image"):
        train(str(folder), spec, tmp_path / "x.pt", device="cpu")
    assert not (tmp_path / "x.pt").exists()
    write("valid", 3)
    report = train(str(folder), replace(spec, epochs=1), tmp_path / "x.pt", device="cpu")
    assert "has 3 images, so hit@10 is 100 for every model" in report.note


def test_a_state_of_other_data_is_refused(spec: TrainSpec, tmp_path: Path) -> None:
    data, out = write_flickr8k(tmp_path / "data"), tmp_path / "model.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", progress=KillAfter(1))
    (tmp_path / "data" / "Images" / "1.png").write_bytes(image_bytes(999, form="PNG"))
    with pytest.raises(InputError, match="a run with other data; repeat its data"):
        train(data, spec, out, device="cpu")


def test_stock_cn_clip_loads_the_checkpoint(
    uninterrupted: TrainReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = tmp_path / "model_configs"
    configs.mkdir()
    (configs / "small.json").write_text(json.dumps(VISION))
    (configs / "text.json").write_text(json.dumps(TEXT))
    monkeypatch.setattr(cn_clip_utils, "__file__", str(tmp_path / "utils.py"))
    model, _ = cn_clip_utils.load_from_name(
        str(uninterrupted.checkpoint),
        "cpu",
        vision_model_name="small",
        text_model_name="text",
        input_resolution=32,
    )
    model.eval()
    with torch.no_grad():
        stock = model.encode_text(cn_clip_utils.tokenize(["红色碎花吊带裙"]))[0]
    encoder = load_text_encoder(find_weights(str(uninterrupted.checkpoint)), "cpu")
    ours = torch.from_numpy(encoder.encode(encoder.prepare(["红色碎花吊带裙"])))[0]
    torch.testing.assert_close(ours, stock / stock.norm(), rtol=1e-5, atol=1e-6)


def test_fine_tunes_a_checkpoint(data: str, tiny_model: Path, tmp_path: Path) -> None:
    spec = TrainSpec(str(tiny_model), 1, 8, 1e-4, 0.001, 0, "bf16")
    report = train(data, spec, tmp_path / "tuned.pt", device="cpu")
    before, after = read_tensors(tiny_model), read_tensors(report.checkpoint)
    assert {name: t.shape for name, t in before.items()} == {n: t.shape for n, t in after.items()}
    assert not torch.equal(before["visual.proj"], after["visual.proj"])
    assert load_image_encoder(find_weights(str(report.checkpoint)), "cpu").image_size == 32


def test_refuses_an_incomplete_checkpoint(data: str, tiny_model: Path, tmp_path: Path) -> None:
    tensors = read_tensors(tiny_model)
    del tensors["visual.ln_post.bias"]
    path = tmp_path / "incomplete.pt"
    torch.save(tensors, path)
    with pytest.raises(BadModel, match="ln_post"):
        train(data, TrainSpec(str(path), 1, 8, 1e-4, 0.0, 0, "fp32"), tmp_path / "x.pt")


def test_refuses_existing_output_and_other_settings(
    data: str, spec: TrainSpec, uninterrupted: TrainReport, tmp_path: Path
) -> None:
    with pytest.raises(OutputExists, match="--force"):
        train(str(tmp_path / "missing"), spec, uninterrupted.checkpoint, device="cpu")
    out = tmp_path / "model.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", progress=KillAfter(1))
    with pytest.raises(InputError, match="other settings"):
        train(data, replace(spec, epochs=4), out, device="cpu")


def test_skips_images_that_cannot_be_decoded(data: str, spec: TrainSpec, tmp_path: Path) -> None:
    for path in Path(data).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    images = tmp_path / "MR_valid_imgs.tsv"
    images.write_bytes(b"20000099\tnot-an-image\n" + images.read_bytes())
    report = train(str(tmp_path), spec, tmp_path / "out" / "model.pt", device="cpu")
    assert report.steps == 9
    progress = Notices()
    split = load_split(open_dataset(str(tmp_path)), "valid", 32, tmp_path / "cache", progress)
    assert not progress.messages
    lines = images.read_bytes().splitlines(keepends=True)
    images.write_bytes(b"".join(lines[:3]))  # one correct image is left
    fewer = load_split(open_dataset(str(tmp_path)), "valid", 32, tmp_path / "cache", progress)
    assert len(fewer.correct) < len(split.correct)
    (message,) = progress.messages
    assert message.startswith(f"warning: 4 of 5 correct images of {tmp_path}#valid are missing")
    images.write_bytes(b"20000099\tnot-an-image\n")
    with pytest.raises(BadDataset, match=r"none of the 5 correct items of .*#valid"):
        train(str(tmp_path), spec, tmp_path / "out" / "other.pt", device="cpu")
    images.unlink()
    with pytest.raises(BadDataset, match="is missing"):
        train(str(tmp_path), spec, tmp_path / "out" / "other.pt", device="cpu")


@pytest.fixture(scope="module")
def expected(spec: TrainSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on MUGE files of the small dataset that `write_flickr8k` and `write_tars` hold."""
    folder = tmp_path_factory.mktemp("muge")
    for split, numbers in SPLITS.items():
        images = b"".join(image_line(f"{n}.png", n * 3) for n in numbers)  # seeds for PNG
        (folder / f"MR_{split}_imgs.tsv").write_bytes(images)
        rows = (
            {"query_id": n, "query_text": f"{n}号连衣裙", "item_ids": [f"{n}.png"]} for n in numbers
        )
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"MR_{split}_queries.jsonl").write_text(text)
    return train(str(folder), spec, folder / "out" / "model.pt", device="cpu").checkpoint


SPLITS = {"train": range(16), "valid": range(16, 24)}


def write_flickr8k(folder: Path) -> str:
    (folder / "Images").mkdir(parents=True)
    for number in range(24):
        image = image_bytes(number * 3, form="PNG")
        (folder / "Images" / f"{number}.png").write_bytes(image)
    lines = (f"{number}.png#0\t{number}号连衣裙\n" for number in range(24))
    (folder / "Flickr8k.token.txt").write_text("".join(lines))
    for split, name in (("train", "train"), ("valid", "dev")):
        names = "".join(f"{number}.png\n" for number in SPLITS[split])
        (folder / f"Flickr_8k.{name}Images.txt").write_text(names)
    return str(folder)


def write_tars(folder: Path) -> str:
    folder.mkdir()
    for split, numbers in SPLITS.items():
        for shard in range(2):
            with tarfile.open(folder / f"{split}-{shard:06d}.tar", "w") as tar:
                for number in numbers[shard * len(numbers) // 2 :][: len(numbers) // 2]:
                    described = {"item_id": f"{number}.png", "caption": f"{number}号连衣裙"}
                    members = {
                        "png": image_bytes(number * 3, form="PNG"),
                        "json": json.dumps(described).encode(),
                    }
                    for ending, data in members.items():
                        member = tarfile.TarInfo(f"{number:04d}.{ending}")
                        member.size = len(data)
                        tar.addfile(member, BytesIO(data))
    return str(folder)


@pytest.mark.parametrize("write", [write_flickr8k, write_tars])
def test_every_format_trains_to_the_same_weights(
    write: Callable[[Path], str], expected: Path, spec: TrainSpec, tmp_path: Path
) -> None:
    data = write(tmp_path / "data")
    out = tmp_path / "out" / "model.pt"
    train(data, spec, out, device="cpu")
    assert_same_weights(out, expected)
    named = train(f"{data}#train", spec, tmp_path / "named.pt", valid=f"{data}#valid", device="cpu")
    assert_same_weights(named.checkpoint, expected)


class Notices(NoProgress):
    """Keeps the messages to the user."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def notice(self, message: str) -> None:
        self.messages.append(message)


class DecodeCounter(NoProgress):
    """Counts the images that are decoded, by the label of their progress bar."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}

    def begin(self, label: str, total: int, done: int = 0) -> None:
        if label.startswith("decoding"):
            self.totals[label] = total


def test_decoded_images_are_cached_until_the_data_changes(spec: TrainSpec, tmp_path: Path) -> None:
    data = write_flickr8k(tmp_path / "data")
    first, again, changed = DecodeCounter(), DecodeCounter(), DecodeCounter()
    train(data, spec, tmp_path / "a.pt", device="cpu", progress=first)
    train(data, spec, tmp_path / "b.pt", device="cpu", progress=again)
    (tmp_path / "data" / "Images" / "20.png").write_bytes(image_bytes(999, form="PNG"))
    train(data, spec, tmp_path / "c.pt", device="cpu", progress=changed)
    assert first.totals == {"decoding train": 16, "decoding dev": 8}
    assert again.totals == {}
    assert changed.totals == {"decoding dev": 8}


def test_refuses_data_without_the_splits_or_the_queries(spec: TrainSpec, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "1.png").write_bytes(image_bytes(3, form="PNG"))
    with pytest.raises(
        BadDataset, match=r"images: it has no split 'train'; give .*images#all.*tusou split"
    ):
        train(str(images), spec, tmp_path / "x.pt", device="cpu")
    with pytest.raises(BadDataset, match="holds images, no queries; give a query file"):
        train(f"{images}#all", spec, tmp_path / "x.pt", valid=f"{images}#all", device="cpu")
    with pytest.raises(
        BadDataset, match=r"it has no split 'valid'; give .*images#all.*tusou split"
    ):
        train(f"{images}#all", spec, tmp_path / "x.pt", device="cpu")


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_refuses_an_architecture_it_cannot_build(
    data: str, spec: TrainSpec, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(InputError, match="architecture"):
        train(data, replace(spec, model=str(path)), tmp_path / "model.pt", device="cpu")
