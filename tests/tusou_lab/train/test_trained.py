"""Frozen towers and low-rank adapters: what is trained, what is saved, and runs that resume."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny_model
from tusou_lab.train import loop
from tusou_lab.train.lora import Adapters, LoraSettings, LowRankPair
from tusou_lab.train.models import open_trainable
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.step_spec import StepSpec
from tusou_lab.train.trained import TrainedShare

from tests.tusou_lab.train.training import BEST_EPOCH, KillAfter, assert_same_weights, pair_features
from tusou.core.errors import InputError, InvalidRequest
from tusou.encoders.checkpoint import read_tensors
from tusou.encoders.training_record import read_record

HEAD = {"visual.proj", "text_projection", "logit_scale"}
MODES = [
    pytest.param({"freeze": "vision"}, id="frozen image tower"),
    pytest.param({"freeze": "text"}, id="frozen text tower"),
    pytest.param({"lora": 2, "lora_alpha": 4.0}, id="adapters of attention"),
    pytest.param(
        {"freeze": "vision", "lora": 3, "lora_alpha": 3.0, "lora_target": "all"},
        id="adapters of the text tower",
    ),
    pytest.param({"freeze": "layers:0"}, id="frozen embeddings"),
    pytest.param({"precision": "fp16"}, id="fp16"),
    pytest.param({"precision": "bf16"}, id="bf16"),
    pytest.param({"step": StepSpec(grad_cache=3, mask_patches=0.5)}, id="cached gradients"),
    pytest.param({"batch_size": 4, "step": StepSpec(accumulate=2)}, id="accumulated"),
    pytest.param(
        {"step": StepSpec(checkpointing=True, layer_decay=0.5, ema=0.9)}, id="averaged weights"
    ),
    pytest.param(
        {"lora": 2, "lora_alpha": 4.0, "step": StepSpec(checkpointing=True, ema=0.9)},
        id="averaged adapters",
    ),
]


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("resnet") / "resnet.pt"
    return save_tiny_model(path, vision_layers=[1, 1, 1, 1], vision_patch_size=None)


@pytest.fixture
def tuning(tiny_model: Path) -> TrainSpec:
    return TrainSpec(str(tiny_model), 2, 8, 1e-3, 0.05, 7, "fp32", stopping=BEST_EPOCH)


def changed(before: Path, after: Path) -> set[str]:
    old, new = read_tensors(before), read_tensors(after)
    return {name for name in old if not torch.equal(old[name], new[name])}


@pytest.mark.parametrize("tower", ["vision", "text"])
def test_a_frozen_tower_keeps_its_weights_and_the_rest_is_trained(
    data: str, tuning: TrainSpec, tiny_model: Path, tmp_path: Path, tower: str
) -> None:
    report = train(data, replace(tuning, freeze=tower), tmp_path / "out.pt", device="cpu")
    prefix = {"vision": "visual.", "text": "bert."}[tower]
    frozen = {name for name in read_tensors(tiny_model) if name.startswith(prefix)} - HEAD
    differ = changed(tiny_model, report.checkpoint)
    assert not differ & frozen
    assert differ >= HEAD - {"logit_scale"}
    other = {name for name in differ if name.endswith(("in_proj_weight", "query.weight"))}
    assert len(other) == 2  # of the two layers of the other tower


def test_the_statistics_of_a_frozen_resnet_stay(data: str, resnet: Path, tmp_path: Path) -> None:
    spec = TrainSpec(str(resnet), 1, 8, 1e-3, 0.05, 7, "fp32", stopping=BEST_EPOCH, freeze="vision")
    report = train(data, spec, tmp_path / "out.pt", device="cpu")
    differ = {name for name in changed(resnet, report.checkpoint) if name.startswith("visual")}
    assert differ == {"visual.attnpool.c_proj.weight", "visual.attnpool.c_proj.bias"}


def test_a_frozen_tower_is_in_evaluation_mode_and_takes_no_gradients(tiny_model: Path) -> None:
    model = open_trainable(str(tiny_model))
    share = TrainedShare(model, "text", None)
    share.set_training_mode()
    modes = {name: module.training for name, module in model.network.named_modules()}
    assert not any(on for name, on in modes.items() if name.startswith("bert"))
    assert all(on for name, on in modes.items() if name.startswith("visual"))
    tokens = torch.from_numpy(model.tokenize(["红色碎花裙", "男士皮带"]).ids)
    assert model.network.bert(tokens)[0].grad_fn is None


def trained_adapters(model_path: Path, target: str) -> tuple[TrainedShare, float]:
    """Return adapters after three steps of gradient descent on one batch, and how much they matter.

    That is the largest difference between the merged vectors and those without adapters.
    """
    torch.manual_seed(0)
    model = open_trainable(str(model_path))
    pixels = torch.randint(256, (4, 32, 32, 3), dtype=torch.uint8)
    tokens = torch.from_numpy(model.tokenize(["红裙", "蓝鞋 2", "包", "iPhone 手机壳"]).ids)
    model.network.eval()
    plain = model.encode_images(pixels).detach()
    share = TrainedShare(model, "none", LoraSettings(2, 4.0, target))
    assert torch.equal(model.encode_images(pixels), plain)  # the adapters begin with zero
    model.network.eval()
    optimiser = torch.optim.AdamW(share.module.parameters(), 0.01)
    for _ in range(3):
        features = pair_features(model, pixels, tokens)
        optimiser.zero_grad()
        (features.images * features.texts).sum().backward()
        optimiser.step()
    ours = model.encode_images(pixels), model.encode_texts(tokens)
    with share.merged(), torch.no_grad():
        merged = model.encode_images(pixels), model.encode_texts(tokens)
        merged_weights = {name: t.clone() for name, t in model.network.state_dict().items()}
    for live, once in zip(ours, merged, strict=True):
        torch.testing.assert_close(live, once, rtol=1e-5, atol=1e-5)
    own = model.network.state_dict()
    stored = read_tensors(model_path)
    assert all(torch.equal(own[name], tensor.float()) for name, tensor in stored.items())
    assert any(not torch.equal(own[name], merged_weights[name]) for name in own)
    return share, float((merged[0] - plain).abs().max())


@pytest.mark.parametrize(("target", "count"), [("attention", 12), ("all", 20)])
def test_merged_weights_give_the_vectors_of_the_adapters(
    tiny_model: Path, target: str, count: int
) -> None:
    share, effect = trained_adapters(tiny_model, target)
    assert effect > 1e-3
    assert isinstance(share.module, Adapters)
    # Two layers of each tower: in_proj and out_proj; query, key, value and output; and with `all`
    # two of each layer's feed-forward network.
    pairs = [pair for pair in share.module.pairs if isinstance(pair, LowRankPair)]
    assert len(pairs) == count
    # The first step moves `up` alone, since it begins with zero; then `down` too.
    assert all(pair.up.abs().max() > 0 for pair in pairs)


def test_the_pooling_of_a_resnet_gets_adapters(resnet: Path) -> None:
    share, effect = trained_adapters(resnet, "attention")
    assert effect > 1e-3
    assert isinstance(share.module, Adapters)
    assert len(share.module.pairs) == 4 + 2 * 4


def test_adapters_are_few_and_their_rank_sets_their_size(tiny_model: Path) -> None:
    model = open_trainable(str(tiny_model))
    every = sum(p.numel() for p in model.network.parameters())
    trained = TrainedShare(model, "none", LoraSettings(2, 4.0, "attention")).parameter_count
    # 64 wide: q, k and v of a stacked weight have a pair each, as single layers do.
    assert trained == 2 * 2 * 4 * 2 * (64 + 64)
    assert trained < every / 300
    assert [name for name, p in model.network.named_parameters() if p.requires_grad] == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.services
def test_a_killed_run_resumes_to_the_same_weights_in_each_mode(
    data: str,
    tuning: TrainSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: dict[str, object],
) -> None:
    spec = replace(tuning, **mode)  # type: ignore[arg-type]
    whole = train(data, spec, tmp_path / "whole.pt", device="cpu")
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0.0)
    out = tmp_path / "killed.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", progress=KillAfter(5))
    state = torch.load(tmp_path / "killed.pt.state", weights_only=True)
    weights = [name for name in state["model"] if name.startswith("trained.")]
    assert all(name.startswith("trained.pairs.") for name in weights) == bool(spec.lora)
    resumed = train(data, spec, out, device="cpu")
    assert_same_weights(out, whole.checkpoint)
    assert resumed.best_mean_recall == whole.best_mean_recall
    ours, theirs = read_record(out), read_record(whole.checkpoint)
    assert ours
    assert theirs
    assert ours.losses == theirs.losses
    assert ours.settings["lora"] == spec.lora
    assert changed(Path(spec.model), out)


def test_adapters_do_not_resume_on_other_weights(
    data: str, tuning: TrainSpec, tmp_path: Path
) -> None:
    path, out = save_tiny_model(tmp_path / "base.pt"), tmp_path / "out.pt"
    spec = replace(tuning, model=str(path), lora=2, lora_alpha=4.0)
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", progress=KillAfter(1))
    save_tiny_model(path, seed=1)
    with pytest.raises(InputError, match="other settings"):
        train(data, spec, out, device="cpu")


def test_adapters_need_layers(tiny_model: Path) -> None:
    model = open_trainable(str(tiny_model))
    for parameter in (name for name, _ in model.network.named_parameters()):
        assert model.part_of(parameter) in ("vision", "text", "head")
    with pytest.raises(InvalidRequest, match="no linear layers"):
        Adapters(torch.nn.Embedding(3, 4), LoraSettings(2, 4.0, "all"), (), ())
