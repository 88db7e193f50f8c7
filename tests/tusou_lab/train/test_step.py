"""Steps in every mode: the gradients of a plain step, wherever a mode is to have them."""

from functools import partial
from json import dumps
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import save_tiny_model
from torch import nn
from tusou_lab.train import updater as updater_module
from tusou_lab.train.batches import TrainingBatch
from tusou_lab.train.checkpointing import checkpoint_layers
from tusou_lab.train.losses.softmax import contrastive_loss, multi_positive_loss
from tusou_lab.train.models import TrainableModel, open_trainable
from tusou_lab.train.optimiser import make_optimiser, training_precision
from tusou_lab.train.processes import Processes
from tusou_lab.train.step import StepInputs, TrainingStep
from tusou_lab.train.step_spec import StepSpec
from tusou_lab.train.tower_pass import TowerPass
from tusou_lab.train.trained import TrainedShare
from tusou_lab.train.updater import LossScale, Updater

from tests.tusou_lab.train.training import TEXT, VISION
from tusou.core.errors import InvalidRequest
from tusou.encoders.torch.encoder import to_input

CPU = torch.device("cpu")
WORDS = ["红色", "连衣裙", "蓝色", "帆布鞋", "手提包", "碎花", "吊带", "遥控车", "沙发", "台灯"]


@pytest.fixture
def model(tmp_path: Path) -> TrainableModel:
    """A model without dropout, whose gradients do not depend on how a batch is cut."""
    path = tmp_path / "still.json"
    still = {"text_attention_probs_dropout_prob": 0.0, "text_hidden_dropout_prob": 0.0}
    layers = {"text_num_hidden_layers": 2, "vision_layers": 2}
    path.write_text(dumps(VISION | TEXT | still | layers))
    torch.manual_seed(3)
    return open_trainable(str(path))


def batch(model: TrainableModel, rows: int = 10, extra: int = 0) -> StepInputs:
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (rows + extra, 32, 32, 3), np.uint8)
    tokens = model.tokenize(WORDS[:rows]).ids
    images = np.arange(rows + extra)
    correct = np.eye(rows, rows + extra, dtype=bool)
    correct[0, 1] = True
    return StepInputs.move(TrainingBatch(pixels, tokens, correct, np.arange(rows), images, 0), CPU)


def gradients(
    model: TrainableModel, inputs: list[StepInputs], spec: StepSpec, precision: str = "fp32"
) -> dict[str, torch.Tensor]:
    """Return the gradients of a step, after clipping, without changing the weights."""
    model.network.train()
    optimiser = make_optimiser(model.network, 0.0, 0.0, transformer=True)
    scale = LossScale(CPU, enabled=precision == "fp16")
    updater = Updater(model.network, optimiser, scale, None, Processes())
    step = TrainingStep(model, multi_positive_loss, updater, spec, precision, Processes())
    loss = step(inputs)
    taken = {
        name: p.grad.clone() for name, p in model.network.named_parameters() if p.grad is not None
    }
    return taken | {"loss": torch.tensor(loss)}


def assert_equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    largest = max(float(gradient.abs().max()) for gradient in theirs.values())
    for name, gradient in ours.items():
        difference = float((gradient - theirs[name]).abs().max())
        assert difference <= 1e-5 * largest, (name, difference, largest)


@pytest.mark.parametrize("chunk", [1, 3, 10, 64])
def test_cached_gradients_are_those_of_the_whole_batch(model: TrainableModel, chunk: int) -> None:
    inputs = [batch(model, extra=4)]
    plain = gradients(model, inputs, StepSpec())
    assert_equal(gradients(model, inputs, StepSpec(grad_cache=chunk)), plain)


def test_the_plain_step_has_the_gradients_of_autograd(model: TrainableModel) -> None:
    inputs = batch(model)
    ours = gradients(model, [inputs], StepSpec())
    model.network.zero_grad()
    with training_precision(CPU, "fp32"):
        images, texts, scale = model.network(*network_inputs(inputs))
    torch.autograd.backward(contrastive_loss(images, texts, scale, inputs.targets.correct))
    torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
    expected = {name: p.grad for name, p in model.network.named_parameters() if p.grad is not None}
    ours.pop("loss")
    assert_equal(ours, expected)


def network_inputs(inputs: StepInputs) -> tuple[torch.Tensor, torch.Tensor]:
    return to_input(inputs.pixels), inputs.tokens


def test_dropout_draws_the_same_in_both_passes_of_a_cached_step() -> None:
    dropout = nn.Dropout(0.5)
    weight = nn.Parameter(torch.ones(4, 8))
    rows = torch.ones(6, 4)

    def encode(part: torch.Tensor) -> torch.Tensor:
        return dropout(part @ weight) + 0.1

    torch.manual_seed(1)
    tower = TowerPass(encode, rows, 2, partial(training_precision, CPU, "fp32"))
    dropped = tower.vectors < 0.05
    tower.backward(torch.ones(6, 8))
    torch.manual_seed(1)
    whole = torch.cat([encode(part) for part in torch.split(rows, 2)])
    vectors = nn.functional.normalize(whole)
    torch.testing.assert_close(vectors.detach(), tower.vectors)
    assert dropped.any()
    cached = weight.grad
    weight.grad = None
    torch.autograd.backward(vectors, torch.ones(6, 8))
    torch.testing.assert_close(cached, weight.grad)


def test_accumulated_batches_have_the_mean_of_their_gradients(model: TrainableModel) -> None:
    first, second = batch(model, 10), batch(model, 6)
    halves = [gradients(model, [each], StepSpec()) for each in (first, second)]
    both = gradients(model, [first, second], StepSpec(accumulate=2))
    assert float(both["loss"]) == pytest.approx(sum(float(h["loss"]) for h in halves) / 2)
    # Clipped gradients are only known up to a factor.
    unclipped = flat_gradients(model, [first, second])
    mean = flat_gradients(model, [first]) / 2 + flat_gradients(model, [second]) / 2
    torch.testing.assert_close(unclipped, mean, rtol=1e-4, atol=1e-6)


def flat_gradients(model: TrainableModel, inputs: list[StepInputs]) -> torch.Tensor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(updater_module, "MAX_GRADIENT", float("inf"))
        taken = gradients(model, inputs, StepSpec(accumulate=len(inputs)))
    taken.pop("loss")
    return torch.cat([gradient.flatten() for gradient in taken.values()])


def test_checkpointing_keeps_the_gradients_and_less_memory(model: TrainableModel) -> None:
    inputs = [batch(model)]
    plain = gradients(model, inputs, StepSpec())
    kept = saved_bytes(model, inputs[0])
    checkpoint_layers(model.network, CPU)
    assert_equal(gradients(model, inputs, StepSpec()), plain)
    assert_equal(gradients(model, inputs, StepSpec(grad_cache=4)), plain)
    assert saved_bytes(model, inputs[0]) < kept / 2


def saved_bytes(model: TrainableModel, inputs: StepInputs) -> int:
    """Count the bytes that a forward pass keeps for its backward pass."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.network(*network_inputs(inputs))
    weights = {p.data_ptr() for p in model.network.parameters()}
    return sum(size for pointer, size in kept.items() if pointer not in weights)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_coarse_precisions_are_near(model: TrainableModel, precision: str) -> None:
    inputs = [batch(model)]
    exact, coarse = (
        gradients(model, inputs, StepSpec()),
        gradients(model, inputs, StepSpec(), precision),
    )
    assert float(coarse["loss"]) == pytest.approx(float(exact["loss"]), rel=0.02)
    ours, theirs = (torch.cat([each[name].flatten() for name in exact]) for each in (coarse, exact))
    assert float(nn.functional.cosine_similarity(ours, theirs, dim=0)) > 0.98


def test_a_step_of_fp16_that_overflows_changes_nothing(model: TrainableModel) -> None:
    optimiser = make_optimiser(model.network, 0.1, 0.0, transformer=True)
    scale = LossScale(CPU, enabled=True)
    updater = Updater(model.network, optimiser, scale, None, Processes())
    before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    first = scale.scaler.get_scale()
    updater.begin()
    total = torch.stack([p.sum() for p in model.network.parameters()]).sum()
    updater.backward(total * 1e38)
    updater.finish()
    assert all(torch.equal(p, before[name]) for name, p in model.network.named_parameters())
    assert scale.scaler.get_scale() < first
    restored = LossScale(CPU, enabled=True)
    restored.set_extra_state(scale.get_extra_state())
    assert restored.scaler.get_scale() == scale.scaler.get_scale()


def test_batch_statistics_are_not_cut_into_chunks(tmp_path: Path) -> None:
    path = save_tiny_model(
        tmp_path / "resnet.pt", vision_layers=[1, 1, 1, 1], vision_patch_size=None
    )
    model = open_trainable(str(path))
    with pytest.raises(InvalidRequest, match=r"takes statistics over the batch \(a ResNet\)"):
        gradients(model, [], StepSpec(grad_cache=2))
    TrainedShare(model, "vision", None)
    optimiser = make_optimiser(model.network, 0.1, 0.0, transformer=False)
    updater = Updater(model.network, optimiser, LossScale(CPU, enabled=False), None, Processes())
    TrainingStep(model, multi_positive_loss, updater, StepSpec(grad_cache=2), "fp32", Processes())


def test_a_batch_smaller_than_the_processes_is_refused(model: TrainableModel) -> None:
    optimiser = make_optimiser(model.network, 0.0, 0.0, transformer=True)
    processes = Processes(0, 3)
    updater = Updater(model.network, optimiser, LossScale(CPU, enabled=False), None, processes)
    step = TrainingStep(model, multi_positive_loss, updater, StepSpec(), "fp32", processes)
    with pytest.raises(InvalidRequest, match="a batch of 2 pairs is too small for 3 processes"):
        step([batch(model, 2)])
    assert [Processes(rank, 3).own_rows(8) for rank in range(3)] == [
        slice(0, 2), slice(2, 5), slice(5, 8),
    ]  # fmt: skip


def test_masked_patches_are_other_ones_each_time(model: TrainableModel) -> None:
    pixels = batch(model).pixels
    with torch.no_grad():
        whole = model.encode_images(pixels)
        masked = [model.encode_images(pixels, mask=0.5) for _ in range(2)]
    assert not torch.allclose(masked[0], whole)
    assert not torch.allclose(masked[0], masked[1])
