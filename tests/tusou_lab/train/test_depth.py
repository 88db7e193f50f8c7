"""Layers of towers by the names of their parameters, learning rates by layer, frozen layers."""

from pathlib import Path

import pytest
from tiny_models import save_tiny_model
from tusou_lab.train.depth import depth_of, layer_factor, layer_of
from tusou_lab.train.models import open_trainable
from tusou_lab.train.optimiser import make_optimiser, set_learning_rate
from tusou_lab.train.trained import TrainedShare, is_frozen

from tusou.core.errors import InvalidRequest


def test_every_parameter_of_a_vit_has_its_layer(tiny_model: Path) -> None:
    model = open_trainable(str(tiny_model))
    layers = {name: layer_of(model, name) for name, _ in model.network.named_parameters()}
    assert layers["visual.conv1.weight"] == layers["visual.positional_embedding"] == 0
    assert layers["visual.class_embedding"] == layers["visual.ln_pre.weight"] == 0
    assert layers["visual.transformer.resblocks.1.ln_1.weight"] == 2
    assert layers["bert.embeddings.LayerNorm.weight"] == 0
    assert layers["bert.encoder.layer.0.output.dense.weight"] == 1
    last = {name for name, layer in layers.items() if layer is None}
    assert last == {
        "visual.ln_post.weight", "visual.ln_post.bias", "visual.proj", "text_projection",
        "logit_scale",
    }  # fmt: skip
    assert (depth_of(model, "vision"), depth_of(model, "text")) == (2, 2)


def test_the_stages_of_a_resnet_are_its_layers(tmp_path: Path) -> None:
    path = save_tiny_model(
        tmp_path / "resnet.pt", vision_layers=[1, 1, 1, 1], vision_patch_size=None
    )
    model = open_trainable(str(path))
    assert layer_of(model, "visual.conv1.weight") == layer_of(model, "visual.bn3.bias") == 0
    assert layer_of(model, "visual.layer4.0.bn1.weight") == 4
    assert layer_of(model, "visual.attnpool.positional_embedding") is None
    assert depth_of(model, "vision") == 4


def test_rates_decay_from_the_last_layer_to_the_first(tiny_model: Path) -> None:
    model = open_trainable(str(tiny_model))
    factor = layer_factor(model, 0.5)
    optimiser = make_optimiser(model.network, 1.0, 0.1, transformer=True, lr_factor=factor)
    set_learning_rate(optimiser, 8.0)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    by_name = {name: rates[id(p)] for name, p in model.network.named_parameters()}
    assert by_name["visual.proj"] == by_name["logit_scale"] == 8
    assert by_name["visual.transformer.resblocks.1.mlp.c_fc.weight"] == 8
    assert by_name["visual.transformer.resblocks.0.mlp.c_fc.weight"] == 4
    assert by_name["bert.embeddings.word_embeddings.weight"] == 2
    decays = {group["weight_decay"] for group in optimiser.param_groups}
    assert decays == {0.0, 0.1}


@pytest.mark.parametrize(("freeze", "trained"), [("layers:0", {1, 2}), ("layers:1", {2})])
def test_the_first_layers_are_frozen(tiny_model: Path, freeze: str, trained: set[int]) -> None:
    model = open_trainable(str(tiny_model))
    names = [name for name, _ in model.network.named_parameters()]
    free = {layer_of(model, name) for name in names if not is_frozen(model, freeze, name)}
    assert free == {None} | trained
    assert is_frozen(model, freeze, "bert.embeddings.dropout.")
    assert not is_frozen(model, freeze, "bert.encoder.layer.1.")


def test_more_layers_than_a_tower_has_are_refused(tmp_path: Path) -> None:
    path = save_tiny_model(
        tmp_path / "resnet.pt", vision_layers=[1, 1, 1, 1], vision_patch_size=None
    )
    model = open_trainable(str(path))
    TrainedShare(model, "layers:2", None)  # all layers of the text tower
    assert {name for name, p in model.network.named_parameters() if p.requires_grad} >= {
        "visual.layer3.0.bn1.weight", "text_projection",
    }  # fmt: skip
    message = "image tower has 4 layers and the text tower 2; give at most layers:2, .* vision"
    for freeze in ("layers:3", "layers:99"):
        with pytest.raises(InvalidRequest, match=message):
            TrainedShare(open_trainable(str(path)), freeze, None)
