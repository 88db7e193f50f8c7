"""Models put together of two pretrained towers, beside the libraries that the towers come from."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models.family_checks import (
    LibraryVectors,
    check_commands,
    check_invariance,
    check_parity,
    tusou,
    write_data,
)
from tests.models.tiny_towers import (
    join,
    save_tiny_bert,
    save_tiny_dinov2,
    save_tiny_resnet,
    save_tiny_roberta,
    save_tiny_sentences,
    save_tiny_vit,
    save_torchvision_resnet18,
    save_torchvision_vit,
)
from tusou.core.errors import BadModel, InvalidRequest, OutputExists
from tusou.encoders import find_weights, resolve_encoder
from tusou.encoders.families import find_family
from tusou.encoders.families.dual_encoder import untrained_note

pytestmark = pytest.mark.models

Saver = Callable[[Path], Path]
# Each kind of text tower, and each of image tower.
PAIRS: dict[str, tuple[Saver, Saver]] = {
    "bert and vit": (save_tiny_bert, save_tiny_vit),
    "xlm-roberta and dinov2": (save_tiny_roberta, save_tiny_dinov2),
    "minilm and resnet": (save_tiny_sentences, save_tiny_resnet),
    "bert and torchvision's vit": (save_tiny_bert, save_torchvision_vit),
    "xlm-roberta and torchvision's resnet18": (save_tiny_roberta, save_torchvision_resnet18),
}


@pytest.fixture(scope="module", params=PAIRS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the towers `text` and `image`, and the model `joined` of them."""
    folder = tmp_path_factory.mktemp("towers")
    text, image = PAIRS[request.param]
    join(text(folder / "text"), image(folder / "image"), folder / "joined")
    return folder


@pytest.fixture(scope="module")
def bert_and_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towers")
    save_tiny_bert(folder / "text")
    save_tiny_vit(folder / "image")
    join(folder / "text", folder / "image", folder / "joined")
    return folder


def projections(model: Path) -> list[np.ndarray[Any, Any]]:
    from safetensors.numpy import load_file

    tensors = load_file(model / "model.safetensors")
    return [tensors[f"{tower}_projection.weight"] for tower in ("text", "visual")]


def scale_projection(model: Path) -> None:
    """Change a projection, as training does."""
    from safetensors.numpy import load_file, save_file

    path, name = model / "model.safetensors", "text_projection.weight"
    tensors = load_file(path)
    save_file(tensors | {name: tensors[name] * 1.5}, path)


def library_of(folder: Path) -> LibraryVectors:
    """Return the libraries' own vectors, multiplied by the projections that the model has."""
    text_projection, image_projection = projections(folder / "joined")
    config = json.loads((folder / "joined/config.json").read_text())

    def texts(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        import torch
        from transformers import AutoModel, AutoTokenizer

        module = AutoModel.from_pretrained(folder / "text").eval()
        tokenizer = AutoTokenizer.from_pretrained(folder / "text")
        options = {"max_length": config["context_length"], "truncation": True, "padding": True}
        tokens = tokenizer(list(texts), return_tensors="pt", **options)
        with torch.inference_mode():
            states = module(**tokens).last_hidden_state
        if config["text"]["pooling"] == "first":
            return states[:, 0].numpy() @ text_projection.T
        mask = tokens["attention_mask"][:, :, None]
        return ((states * mask).sum(1) / mask.sum(1)).numpy() @ text_projection.T

    def images(images: Sequence[Image.Image]) -> np.ndarray[Any, Any]:
        run = _torchvision if (folder / "image").is_file() else _transformers
        return run(folder / "image", list(images)) @ image_projection.T

    return LibraryVectors(texts, images)


def _transformers(folder: Path, images: list[Image.Image]) -> np.ndarray[Any, Any]:
    import torch
    import transformers

    module = transformers.AutoModel.from_pretrained(folder).eval()
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    name = settings["image_processor_type"].removesuffix("Pil")
    processor = getattr(transformers, f"{name}Pil").from_pretrained(folder)
    with torch.inference_mode():
        output = module(**processor(images=images, return_tensors="pt"))
    if module.config.model_type == "resnet":
        return output.pooler_output[:, :, 0, 0].numpy()
    return output.last_hidden_state[:, 0].numpy()


def _torchvision(path: Path, images: list[Image.Image]) -> np.ndarray[Any, Any]:
    import torch
    from torchvision.models import ResNet18_Weights, VisionTransformer, resnet18

    state = torch.load(path, weights_only=True)
    if "state_dict" in state:
        module = VisionTransformer(32, 8, 2, 1, 64, 96)
        named = {name.removeprefix("module."): each for name, each in state["state_dict"].items()}
        module.load_state_dict(named)
        module.heads = torch.nn.Identity()
        prepare = ResNet18_Weights.DEFAULT.transforms(crop_size=32, resize_size=37)
    else:
        module = resnet18()
        module.load_state_dict(state)
        module.fc = torch.nn.Identity()
        prepare = ResNet18_Weights.DEFAULT.transforms()
    with torch.inference_mode():
        return module.eval()(torch.stack([prepare(image) for image in images])).numpy()


def test_vectors_are_those_of_the_libraries(pair: Path) -> None:
    check_parity(pair / "joined", library_of(pair))


def test_a_vector_does_not_depend_on_its_batch(pair: Path) -> None:
    check_invariance(pair / "joined")


@pytest.mark.timeout(400)
def test_it_is_indexed_evaluated_and_served(bert_and_vit: Path, tmp_path: Path) -> None:
    check_commands(bert_and_vit / "joined", tmp_path)


def test_pooling_is_what_the_sentences_were_trained_with(pair: Path) -> None:
    config = json.loads((pair / "joined/config.json").read_text())
    averaged = (pair / "text/1_Pooling").exists()
    assert config["text"]["pooling"] == ("mean" if averaged else "first")
    assert config["context_length"] == (16 if averaged else 24)


def test_a_seed_draws_the_same_projections(bert_and_vit: Path, tmp_path: Path) -> None:
    text, image = bert_and_vit / "text", bert_and_vit / "image"
    again = join(text, image, tmp_path / "again")
    other = join(text, image, tmp_path / "other", seed=1, pooling="mean")
    first = projections(bert_and_vit / "joined")
    for same, ours, different in zip(projections(again), first, projections(other), strict=True):
        np.testing.assert_array_equal(same, ours)
        assert np.abs(different - ours).max() > 0.1
    assert json.loads((other / "config.json").read_text())["text"]["pooling"] == "mean"
    assert find_weights(str(again)).digest == find_weights(str(bert_and_vit / "joined")).digest


def test_it_knows_that_it_is_untrained_until_it_is_not(bert_and_vit: Path, tmp_path: Path) -> None:
    joined = join(bert_and_vit / "text", bert_and_vit / "image", tmp_path / "joined")
    assert "scores mean nothing" in (untrained_note(find_weights(str(joined))) or "")
    scale_projection(joined)
    assert untrained_note(find_weights(str(joined))) is None


def test_the_record_and_the_licences_of_both(bert_and_vit: Path) -> None:
    weights = find_weights(str(bert_and_vit / "joined"))
    record = find_family(weights).describe(weights)
    assert record is not None
    assert (record.architecture, record.license) == ("bert + vit", "apache-2.0 AND mit")
    names = {path.name for path in (bert_and_vit / "joined").iterdir()}
    assert {"text-README.md", "image-README.md", "tokenizer.json"} <= names


def test_a_non_commercial_tower_makes_a_non_commercial_model(
    bert_and_vit: Path, tmp_path: Path
) -> None:
    text = save_tiny_bert(tmp_path / "text", "cc-by-nc-4.0")
    weights = find_weights(str(join(text, bert_and_vit / "image", tmp_path / "joined")))
    record = find_family(weights).describe(weights)
    assert record is not None
    assert record.is_non_commercial


def test_towers_in_the_wrong_place_are_refused(bert_and_vit: Path, tmp_path: Path) -> None:
    text, image = bert_and_vit / "text", bert_and_vit / "image"
    joined, resnet = bert_and_vit / "joined", save_torchvision_resnet18(tmp_path / "resnet18.pth")
    refused: list[tuple[Path, Path, type[Exception], str]] = [
        (image, image, BadModel, "vit: give it as --image"),
        (text, text, BadModel, "bert: give it as --text"),
        (joined, image, BadModel, "tusou_dual_encoder"),
        (resnet, image, InvalidRequest, "--text takes a folder"),
        (text, tmp_path / "absent", InvalidRequest, "No model"),
    ]
    for first, second, error, message in refused:
        with pytest.raises(error, match=message):
            join(first, second, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_something_else_is_refused(bert_and_vit: Path, tmp_path: Path) -> None:
    import torch

    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(BadModel, match=r"other.pth is not a ResNet or a vision transformer"):
        join(bert_and_vit / "text", tmp_path / "other.pth", tmp_path / "out")


def test_only_a_model_of_this_command_is_replaced(bert_and_vit: Path, tmp_path: Path) -> None:
    text, image = bert_and_vit / "text", bert_and_vit / "image"
    mine = save_tiny_vit(tmp_path / "mine")
    before = sorted(path.name for path in mine.iterdir())
    with pytest.raises(OutputExists, match="was not made by convert-model"):
        join(text, image, mine, force=True)
    assert sorted(path.name for path in mine.iterdir()) == before
    join(text, image, tmp_path / "out")
    with pytest.raises(OutputExists, match="--force"):
        join(text, image, tmp_path / "out")
    join(text, image, tmp_path / "out", force=True)


def test_a_trained_model_is_not_replaced(bert_and_vit: Path, tmp_path: Path) -> None:
    text, image = bert_and_vit / "text", bert_and_vit / "image"
    scale_projection(join(text, image, tmp_path / "out"))
    with pytest.raises(OutputExists, match="was trained"):
        join(text, image, tmp_path / "out", force=True)


def test_new_projections_are_trained_whole_beside_adapters(bert_and_vit: Path) -> None:
    from tusou_lab.train.models import open_trainable

    traits = open_trainable(str(bert_and_vit / "joined")).traits
    assert traits.fresh > {"text_projection.weight", "visual_projection.weight"}


def test_the_command_says_that_scores_mean_nothing_yet(bert_and_vit: Path, tmp_path: Path) -> None:
    towers = ("--text", str(bert_and_vit / "text"), "--image", str(bert_and_vit / "image"))
    done = tusou("convert-model", *towers, "--dim", "16", "--out", str(tmp_path / "m"))
    assert "bert and vit, vectors of 16, texts of up to 24 tokens (first)" in done.stdout
    assert "scores mean nothing" in done.stderr
    write_data(tmp_path)
    words = ("--out", str(tmp_path / "bundle"), "--model", str(tmp_path / "m"))
    done = tusou("index", str(tmp_path / "MR_test_imgs.tsv"), *words, "--device", "cpu")
    assert "scores mean nothing" in done.stderr


def test_texts_run_through_our_own_towers(pair: Path) -> None:
    weights = find_weights(str(pair / "joined"))
    text, image = (resolve_encoder(weights, tower, "cpu") for tower in ("text", "image"))
    assert text.backend in {"torch", "openvino"}
    assert image.backend == "transformers"
