"""Distillation from a teacher: what its losses are, and runs with one, killed and resumed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import save_tiny_model
from torch.nn.functional import normalize
from tusou_lab.train import loop
from tusou_lab.train import teacher as teacher_module
from tusou_lab.train.data import SplitEncoder, TrainingSplit, load_split
from tusou_lab.train.distillation import DistilledLoss, divergence
from tusou_lab.train.distillation_spec import DistillationSpec
from tusou_lab.train.early_stopping import EarlyStopping
from tusou_lab.train.hard_negatives import NegativesSpec
from tusou_lab.train.losses import BatchTargets, LossSpec
from tusou_lab.train.models import Features, open_trainable
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.step_spec import StepSpec
from tusou_lab.train.teacher import TeacherVectors

from tests.tusou_lab.train.training import KillAfter, assert_same_weights
from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import BadModel, InputError, InvalidRequest
from tusou.data import open_dataset
from tusou.encoders import find_weights
from tusou.encoders.checkpoint import read_tensors
from tusou.encoders.training_record import read_record


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a model of larger images and shorter vectors."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.pt"
    return save_tiny_model(path, seed=3, embed_dim=48, image_resolution=64)


@pytest.fixture
def vectors() -> TeacherVectors:
    rng = np.random.default_rng(0)
    parts = (rng.normal(size=(6, 5)).astype(np.float32) for _ in range(2))
    images, texts = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts)
    return TeacherVectors(images, texts, 20.0)


def unreachable(features: Features, targets: BatchTargets) -> torch.Tensor:
    raise AssertionError("the loss of the labels has no share")


def make_targets(queries: list[int], images: list[int]) -> BatchTargets:
    correct = torch.zeros(len(queries), len(images), dtype=torch.bool)
    return BatchTargets(correct, torch.tensor(queries), torch.tensor(images))


def distilled(vectors: TeacherVectors, kind: Any, dim: int = 5, weight: float = 1) -> DistilledLoss:
    return DistilledLoss(unreachable, vectors, DistillationSpec("t", kind, weight), dim)


@pytest.mark.parametrize("kind", ["features", "relations"])
def test_the_teacher_itself_has_no_distance_and_another_model_has(
    vectors: TeacherVectors, kind: str
) -> None:
    """Rows of a batch are those of the split that the targets name; a further image is a third."""
    targets = make_targets([4, 1], [2, 5, 0])
    same = Features(
        vectors.of_images(targets.images),
        vectors.of_texts(targets.queries),
        torch.tensor(20.0),
        None,
    )
    assert float(distilled(vectors, kind)(same, targets)) == pytest.approx(0, abs=1e-6)
    other = replace(same, texts=same.texts.flip(0))
    assert float(distilled(vectors, kind)(other, targets)) > 0.1
    wrong_rows = make_targets([1, 4], [2, 5, 0])
    assert float(distilled(vectors, kind)(same, wrong_rows)) > 0.1


def test_relations_do_not_depend_on_the_space_and_features_do(vectors: TeacherVectors) -> None:
    targets = make_targets([0, 1, 2], [0, 1, 2])
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0)))[0]
    turned = Features(
        vectors.of_images(targets.images) @ turn,
        vectors.of_texts(targets.queries) @ turn,
        torch.tensor(20.0),
        None,
    )
    assert float(distilled(vectors, "relations")(turned, targets)) == pytest.approx(0, abs=1e-5)
    assert float(distilled(vectors, "features")(turned, targets)) > 0.1


def test_a_divergence_is_that_of_the_definition() -> None:
    ours, theirs = torch.tensor([[1.0, 2, 0], [0, 1, 3]]), torch.tensor([[0.0, 1, 0], [2, 1, 0]])

    def over_rows(a: torch.Tensor, b: torch.Tensor) -> float:
        p, q = b.softmax(1), a.softmax(1)
        return float((p * (p / q).log()).sum(1).mean())

    expected = (over_rows(ours, theirs) + over_rows(ours.t(), theirs.t())) / 2
    assert float(divergence(ours, theirs)) == pytest.approx(expected, rel=1e-5)


def test_a_projection_is_fitted_to_the_first_model_and_trained(vectors: TeacherVectors) -> None:
    """Seven numbers from which the teacher's five follow by a linear map."""
    loss = distilled(vectors, "features", dim=7)
    targets = make_targets([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5])
    spread = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    images, texts = (
        normalize(part @ spread)
        for part in (vectors.of_images(targets.images), vectors.of_texts(targets.queries))
    )
    features = Features(images, texts, torch.tensor(20.0), None)
    assert loss.needs_start
    assert float(loss(features, targets).detach()) == pytest.approx(1)
    loss.start(images, texts, targets)
    assert not loss.needs_start
    value = loss(features, targets)
    assert 0 < float(value.detach()) < 0.01
    torch.autograd.backward(value)
    assert loss.projection is not None
    assert loss.projection.grad is not None
    assert not distilled(vectors, "features").needs_start


def test_the_loss_of_the_labels_has_the_rest_of_the_share(vectors: TeacherVectors) -> None:
    targets = make_targets([0, 1], [2, 3])
    features = Features(
        vectors.of_images(targets.images),
        vectors.of_texts(targets.queries),
        torch.tensor(1.0),
        None,
    )
    spec = DistillationSpec("t", "features", 0.25)
    loss = DistilledLoss(lambda *_: torch.tensor(8.0), vectors, spec, 5)
    assert float(loss(features, targets)) == pytest.approx(6, abs=1e-5)


def test_relations_need_a_scale(vectors: TeacherVectors) -> None:
    vectors.scale = 1.0
    with pytest.raises(InvalidRequest, match="give --distil features"):
        distilled(vectors, "relations")


def run_spec(spec: TrainSpec, teacher: Path, kind: Any, weight: float, **mode: Any) -> TrainSpec:
    return replace(
        spec, epochs=2, distillation=DistillationSpec(str(teacher), kind, weight), **mode
    )


def test_vectors_are_those_of_the_teachers_own_preprocessing_and_are_kept(
    data: str,
    spec: TrainSpec,
    teacher: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads = []
    load = TeacherVectors.load.__func__  # type: ignore[attr-defined]

    def keep(cls: type[TeacherVectors], *arguments: Any) -> TeacherVectors:
        loads.append((arguments[1], arguments[2], load(cls, *arguments)))
        return loads[-1][2]

    monkeypatch.setattr(TeacherVectors, "load", classmethod(keep))
    prompted = run_spec(spec, teacher, "features", 0.5, prompt="一张{query}的照片")
    train(data, prompted, tmp_path / "a.pt", device="cpu")
    split, _, vectors = loads[0]
    model = open_trainable(str(teacher))
    model.network.eval()
    assert (vectors.dim, vectors.scale) == (48, pytest.approx(1 / 0.07, rel=1e-3))
    with torch.no_grad():
        texts = model.encode_texts(torch.from_numpy(model.tokenize(split.texts).ids))
    ours = vectors.of_texts(torch.arange(len(split.texts)))
    torch.testing.assert_close(ours, normalize(texts), rtol=0, atol=1e-5)
    images = vectors.of_images(torch.arange(len(split.pixels)))
    torch.testing.assert_close(images.norm(dim=1), torch.ones(len(images)))
    monkeypatch.setattr(teacher_module, "open_trainable", None)  # not needed once more
    train(data, prompted, tmp_path / "b.pt", device="cpu")
    assert_same_weights(tmp_path / "a.pt", tmp_path / "b.pt")


MODES: dict[str, tuple[str, float, dict[str, Any]]] = {
    "features": ("features", 0.5, {}),
    "relations and hard negatives": ("relations", 0.5, {"negatives": NegativesSpec(2, 2)}),
    "arcface": ("features", 0.3, {"losses": LossSpec("arcface")}),
    "triplet, without labels' scale": ("relations", 0.7, {"losses": LossSpec("triplet")}),
    "sigmoid": ("relations", 0.7, {"losses": LossSpec("sigmoid")}),
    "accumulated, without labels": (
        "features",
        1.0,
        {"batch_size": 4, "step": StepSpec(accumulate=2, grad_cache=3, ema=0.9)},
    ),
}


@pytest.mark.services
@pytest.mark.parametrize(("kind", "weight", "mode"), MODES.values(), ids=MODES)
def test_a_killed_run_resumes_to_the_same_weights(
    data: str,
    spec: TrainSpec,
    teacher: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    weight: float,
    mode: dict[str, Any],
) -> None:
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0.0)
    spec = run_spec(spec, teacher, kind, weight, **mode)
    whole, killed = tmp_path / "whole.pt", tmp_path / "killed.pt"
    train(data, spec, whole, device="cpu")
    with pytest.raises(KeyboardInterrupt):  # after step 4 of 6, saved after step 3
        train(data, spec, killed, device="cpu", progress=KillAfter(4))
    state = torch.load(tmp_path / "killed.pt.state", weights_only=True)
    assert ("trained.loss.projection" in state["model"]) == (kind == "features")
    train(data, spec, killed, device="cpu")
    assert_same_weights(whole, killed)
    ours, theirs = read_record(killed), read_record(whole)
    assert ours is not None
    assert theirs is not None
    assert ours.losses == theirs.losses


def test_cached_gradients_are_those_of_a_whole_batch(
    data: str, spec: TrainSpec, teacher: Path, tmp_path: Path
) -> None:
    losses = []
    for name, chunk in (("whole", 0), ("chunks", 3)):
        out = tmp_path / f"{name}.pt"
        mode = {"step": StepSpec(grad_cache=chunk), "freeze": "text"}  # which has dropout
        train(data, run_spec(spec, teacher, "features", 0.5, **mode), out, device="cpu")
        record = read_record(out)
        assert record is not None
        losses.append(record.losses)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


def test_the_teacher_is_recorded_and_no_part_of_the_saved_model(
    data: str, spec: TrainSpec, teacher: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model.pt"
    train(data, run_spec(spec, teacher, "features", 0.5), out, device="cpu")
    record = read_record(out)
    assert record is not None
    expected = {
        "teacher": str(teacher), "distil": "features", "distil_weight": 0.5,
        "teacher_sha256": find_weights(str(teacher)).digest,
    }  # fmt: skip
    assert expected.items() <= record.settings.items()
    plain = tmp_path / "plain.pt"
    train(data, replace(spec, epochs=2), plain, device="cpu")
    ours, theirs = read_tensors(out), read_tensors(plain)
    assert ours.keys() == theirs.keys()
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)
    without = read_record(plain)
    assert without is not None
    assert not [name for name in without.settings if name.startswith(("teacher", "distil"))]


def test_a_run_does_not_go_on_with_another_teacher(
    data: str, spec: TrainSpec, tmp_path: Path
) -> None:
    path, out = save_tiny_model(tmp_path / "teacher.pt"), tmp_path / "out.pt"
    spec = run_spec(spec, path, "relations", 0.5)
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", progress=KillAfter(1))
    save_tiny_model(path, seed=1)
    with pytest.raises(InputError, match="other settings"):
        train(data, spec, out, device="cpu")


def test_a_teacher_that_is_no_trained_model_is_refused(
    data: str, spec: TrainSpec, tmp_path: Path
) -> None:
    empty, broken = tmp_path / "empty", tmp_path / "broken.pt"
    empty.mkdir()
    broken.write_bytes(b"not a checkpoint")
    out = tmp_path / "out.pt"
    for name in (empty, broken, tmp_path / "absent.pt"):
        with pytest.raises((BadModel, InvalidRequest), match=name.name):
            train(data, run_spec(spec, name, "features", 0.5), out, device="cpu")
    with pytest.raises(InvalidRequest, match="random weights, which teaches nothing"):
        train(data, run_spec(spec, Path(spec.model), "features", 0.5), out, device="cpu")
    assert not out.exists()


def test_options_say_what_is_distilled() -> None:
    parsed = DistillationSpec.parse("demo", None, None)
    assert (parsed.teacher, parsed.distil, parsed.distil_weight) == ("demo", "relations", 0.5)
    assert DistillationSpec.parse(None, None, None) == DistillationSpec()
    for distil, weight in (("features", None), (None, 0.5)):
        with pytest.raises(InvalidRequest, match="need --teacher"):
            DistillationSpec.parse(None, distil, weight)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="leave out --teacher"):
        DistillationSpec.parse("demo", None, 0.0)
    with pytest.raises(InvalidRequest, match="leaves no share to --loss triplet"):
        DistillationSpec.parse("demo", "features", 1.0).check(LossSpec("triplet"))


def test_a_teacher_reads_texts_in_the_prompt_of_its_training(
    data: str, spec: TrainSpec, tmp_path: Path
) -> None:
    own, prompt = tmp_path / "teacher.pt", "一张{query}的照片"
    trained = replace(spec, epochs=1, prompt=prompt, stopping=EarlyStopping(keep_start=False))
    train(data, trained, own, device="cpu")
    model, dataset = open_trainable(str(own)), open_dataset(data)

    def load_train(encoder: SplitEncoder, bar: Progress) -> TrainingSplit:
        return load_split(dataset, "train", encoder, tmp_path / "cache", bar)

    split = load_train(SplitEncoder(model.traits.transform, model.tokenize), NoProgress())
    vectors = TeacherVectors.load(
        str(own), split, load_train, tmp_path / "cache", torch.device("cpu"), NoProgress()
    )
    model.network.eval()
    with torch.no_grad():
        ids = model.tokenize([prompt.replace("{query}", text) for text in split.texts]).ids
        expected = normalize(model.encode_texts(torch.from_numpy(ids)))
    ours = vectors.of_texts(torch.arange(len(split.texts)))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
