"""Models of other families are fine-tuned by ten steps from a tiny one, in each mode."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import save_tiny_model
from tusou_lab.convert_model.join_towers import join_towers
from tusou_lab.convert_model.run import convert_model
from tusou_lab.reproduce.published import family_of
from tusou_lab.train.lora import Adapters, LoraSettings
from tusou_lab.train.models import open_trainable
from tusou_lab.train.trained import TrainedShare

from tests.models import test_clip, test_multilingual, test_open_clip, test_siglip
from tests.models.family_checks import LibraryVectors
from tests.models.tiny import save_tiny_siglip, save_tiny_siglip2
from tests.models.tiny_clip import save_tiny_clip
from tests.models.tiny_multilingual import (
    save_tiny_alt_clip,
    save_tiny_metaclip2,
    save_tiny_nllb_clip,
    save_tiny_open_clip,
    save_tiny_xlm_roberta_clip,
)
from tests.models.tiny_towers import save_tiny_bert, save_tiny_resnet
from tests.models.training_checks import (
    check_adapters,
    check_forward,
    check_frozen,
    check_resumption,
    check_training,
)
from tusou.core.errors import InvalidRequest
from tusou.encoders import find_weights
from tusou.encoders.cross.towers import new_shape
from tusou.encoders.families import find_family
from tusou.images.preprocess import to_pixels

pytestmark = [pytest.mark.models, pytest.mark.timeout(600)]


@dataclass(frozen=True, slots=True)
class TrainedFamily:
    """A maker of tiny models, the library's vectors of them, and the family's loss."""

    save: Callable[[Path], Path]
    library_of: Callable[[Path], LibraryVectors]
    loss: str
    falls: bool = True  # whether ten steps lower the loss of the random model


def save_tiny_chinese_clip_folder(folder: Path) -> Path:
    """Save a Chinese-CLIP as transformers has it; it is trained through cn_clip's network."""
    checkpoint = save_tiny_model(folder.with_suffix(".pt"))
    saved = torch.load(checkpoint, weights_only=True)
    for name, tensor in saved["state_dict"].items():
        if tensor.ndim > 1:  # so that texts have clearly different vectors
            tensor.normal_(0, 0.15, generator=torch.Generator().manual_seed(len(name)))
    torch.save(saved, checkpoint)
    convert_model(str(checkpoint), "transformers", folder)
    return folder


def save_tiny_dual_encoder(folder: Path) -> Path:
    """Put a BERT and a ResNet together, with fresh projections."""
    text, image = (folder.with_name(f"{folder.name}-{tower}") for tower in ("text", "image"))
    join_towers(str(save_tiny_bert(text)), str(save_tiny_resnet(image)), 48, folder)
    return folder


def dual_encoder_of(folder: Path) -> LibraryVectors:
    """Return the vectors of transformers' towers with the tensors of a model of two."""
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    record = find_family(find_weights(str(folder))).describe(find_weights(str(folder)))
    assert record is not None
    transform, towers = record.transform.as_transform, {}
    for tower, part, options in (
        ("text", "text_model.", {"add_pooling_layer": False}),
        ("image", "vision_model.", {}),
    ):
        module = AutoModel.from_config(AutoConfig.for_model(**config[tower]["config"]), **options)
        own = {name.removeprefix(part): t for name, t in tensors.items() if name.startswith(part)}
        module.load_state_dict(own)
        towers[tower] = module.eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def texts(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        options = {"max_length": config["context_length"], "truncation": True, "padding": True}
        tokens = tokenizer(list(texts), return_tensors="pt", **options)
        with torch.inference_mode():
            states = towers["text"](**tokens).last_hidden_state
        return (states[:, 0] @ tensors["text_projection.weight"].T).numpy()

    def images(images: Sequence[Image.Image]) -> np.ndarray[Any, Any]:
        pixels = torch.from_numpy(np.stack([to_pixels(image, transform) for image in images]))
        normal = (pixels / 255 - torch.tensor(record.mean)) / torch.tensor(record.std)
        with torch.inference_mode():
            pooled = towers["image"](normal.permute(0, 3, 1, 2).float()).pooler_output
        return (pooled.flatten(1) @ tensors["visual_projection.weight"].T).numpy()

    return LibraryVectors(texts, images)


def chinese_clip_of(folder: Path) -> LibraryVectors:
    """Return the vectors of transformers' ChineseCLIPModel."""
    from transformers import AutoModel, AutoTokenizer, ChineseCLIPImageProcessorPil

    module = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = ChineseCLIPImageProcessorPil.from_pretrained(folder)

    def texts(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        tokens = tokenizer(
            list(texts), padding=True, truncation=True, max_length=52, return_tensors="pt"
        )
        with torch.inference_mode():
            vectors = module.get_text_features(**tokens)
        return getattr(vectors, "pooler_output", vectors).numpy()

    def images(images: Sequence[Image.Image]) -> np.ndarray[Any, Any]:
        pixels = processor(images=list(images), return_tensors="pt")
        with torch.inference_mode():
            vectors = module.get_image_features(**pixels)
        return getattr(vectors, "pooler_output", vectors).numpy()

    return LibraryVectors(texts, images)


FAMILIES = {
    "siglip": TrainedFamily(save_tiny_siglip, test_siglip.library_of, "sigmoid"),
    "alt_clip": TrainedFamily(
        save_tiny_alt_clip, test_multilingual.library_of, "softmax", falls=False
    ),
    "clip": TrainedFamily(save_tiny_clip, test_clip.library_of, "softmax"),
    "dual_encoder": TrainedFamily(save_tiny_dual_encoder, dual_encoder_of, "softmax"),
    "chinese_clip": TrainedFamily(save_tiny_chinese_clip_folder, chinese_clip_of, "softmax"),
    "metaclip2": TrainedFamily(save_tiny_metaclip2, test_multilingual.library_of, "softmax"),
    "nllb_clip": TrainedFamily(save_tiny_nllb_clip, test_open_clip.library_of, "softmax"),
    "open_clip": TrainedFamily(save_tiny_open_clip, test_open_clip.library_of, "softmax"),
    "xlm_r_clip": TrainedFamily(save_tiny_xlm_roberta_clip, test_open_clip.library_of, "softmax"),
    "siglip2": TrainedFamily(save_tiny_siglip2, test_siglip.library_of, "sigmoid"),
}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> TrainedFamily:
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def model(family: TrainedFamily, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return family.save(tmp_path_factory.mktemp("family") / "model")


def test_it_learns_and_is_saved_as_its_library_reads_it(
    family: TrainedFamily, model: Path, tmp_path: Path
) -> None:
    check_training(model, tmp_path, family.library_of, family.loss, falls=family.falls)


def test_training_computes_the_vectors_of_the_encoders(model: Path) -> None:
    check_forward(model)


def test_merged_adapters_give_the_vectors_of_the_adapters(model: Path) -> None:
    check_adapters(model)


def test_each_tower_can_be_frozen(model: Path) -> None:
    check_frozen(model)


@pytest.mark.parametrize(
    "mode",
    [{}, {"freeze": "vision"}, {"lora": 2, "lora_alpha": 4.0}],
    ids=["all", "frozen", "lora"],
)
def test_a_killed_run_resumes_to_the_same_weights(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: dict[str, object]
) -> None:
    check_resumption(model, tmp_path, monkeypatch, **mode)


def test_fresh_projections_are_trained_beside_adapters(tmp_path: Path) -> None:
    model = open_trainable(str(save_tiny_dual_encoder(tmp_path / "model")))
    share = TrainedShare(model, "vision", LoraSettings(2, 4.0, "attention"))
    assert isinstance(share.module, Adapters)
    assert sorted(share.module.fresh) == [
        "logit_scale",
        "text_projection/weight",
        "visual_projection/weight",
    ]
    assert {name for name, p in model.network.named_parameters() if p.requires_grad} == {
        "logit_scale",
        "text_projection.weight",
        "visual_projection.weight",
    }


def test_what_is_for_chinese_clip_alone_is_refused(tmp_path: Path) -> None:
    weights = find_weights(str(save_tiny_siglip(tmp_path / "siglip")))
    assert family_of(weights) is None
    with pytest.raises(InvalidRequest, match="towers of Chinese-CLIP"):
        new_shape(weights, 2)
