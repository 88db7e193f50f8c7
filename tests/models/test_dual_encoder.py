"""Models put together of two pretrained towers, beside the libraries that the towers come from."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_server import HubServer, Repository
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

DIM = 48
Saver = Callable[[Path], Path]
# Each kind of text tower, and each of image tower.
PAIRS: dict[str, tuple[Saver, Saver]] = {
    "bert and vit": (save_tiny_bert, save_tiny_vit),
    "xlm-roberta and dinov2": (save_tiny_roberta, save_tiny_dinov2),
    "minilm and resnet": (save_tiny_sentences, save_tiny_resnet),
    "bert and torchvision's vit": (save_tiny_bert, save_torchvision_vit),
    "xlm-roberta and torchvision's resnet18": (save_tiny_roberta, save_torchvision_resnet18),
}


def join(text: Path | str, image: Path, out: Path, **options: Any) -> Path:
    from tusou_lab.convert_model.join_towers import join_towers

    join_towers(str(text), str(image), DIM, out, **options)
    return out


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


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_towers_of_a_hub_are_joined_as_their_folders_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The pooling of the texts lies in a folder of its own there."""
    folders = {
        "owner/text": save_tiny_sentences(tmp_path / "text"),
        "owner/image": save_tiny_vit(tmp_path / "image"),
    }
    expected = join(*folders.values(), tmp_path / "expected")
    repositories = {model_id: repository_of(folder) for model_id, folder in folders.items()}
    for variable in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT"):  # only the hub that is asked answers
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("TUSOU_MODELS", str(tmp_path / "models"))
    endpoint = {"huggingface": "HF_ENDPOINT", "modelscope": "MODELSCOPE_ENDPOINT"}[name]
    words = ("--text", "owner/text", "--image", "owner/image", "--hub", name, "--dim", str(DIM))
    with HubServer(repositories).running() as server:
        monkeypatch.setenv(endpoint, server.url)
        tusou("convert-model", *words, "--out", str(tmp_path / "joined"))
    assert find_weights(str(tmp_path / "joined")).digest == find_weights(str(expected)).digest
    config = json.loads((tmp_path / "joined/config.json").read_text())
    assert (config["text"]["pooling"], config["context_length"]) == ("mean", 16)


def test_the_pooling_that_an_earlier_release_did_not_download_is_not_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, image = save_tiny_sentences(tmp_path / "text"), save_tiny_vit(tmp_path / "image")
    expected = join(text, image, tmp_path / "expected")
    monkeypatch.setenv("TUSOU_MODELS", str(tmp_path / "models"))
    with HubServer({"owner/text": repository_of(text)}).running() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        folder = find_weights("owner/text").path
        for name in ("modules.json", "sentence_bert_config.json", f"../{folder.name}.files.json"):
            (folder / name).unlink()
        shutil.rmtree(folder / "1_Pooling")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(BadModel, match=r"1_Pooling/config\.json.*give the folder to --text"):
            join("owner/text", image, tmp_path / "joined")
        assert not (tmp_path / "joined").exists()
        monkeypatch.delenv("HF_HUB_OFFLINE")
        join("owner/text", image, tmp_path / "joined")
    assert find_weights(str(tmp_path / "joined")).digest == find_weights(str(expected)).digest
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # all of it is here now
    join("owner/text", image, tmp_path / "again")


@pytest.mark.parametrize("lost", ["1_Pooling", "1_Pooling and modules.json"])
def test_a_folder_that_lost_its_pooling_is_refused(tmp_path: Path, lost: str) -> None:
    text, image = save_tiny_sentences(tmp_path / "text"), save_tiny_vit(tmp_path / "image")
    shutil.rmtree(text / "1_Pooling")
    if "modules.json" in lost:
        (text / "modules.json").unlink()
    with pytest.raises(BadModel, match=r"lacks the folder of the pooling.*--pooling mean"):
        join(text, image, tmp_path / "joined")
    joined = join(text, image, tmp_path / "joined", pooling="mean")
    assert json.loads((joined / "config.json").read_text())["text"]["pooling"] == "mean"


def repository_of(folder: Path) -> Repository:
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return Repository({"a" * 40: files})


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean"),
        ({"pooling_mode": "cls"}, "first"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode_max_tokens": True}, None),
        ({"pooling_mode_lasttoken": True}, None),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, None),
        ({"pooling_mode": ["cls", "mean"]}, None),
        ({"pooling_mode": "weightedmean"}, None),
        ({}, None),
    ],
)
def test_a_pooling_that_tusou_does_not_do_is_refused(
    tmp_path: Path, settings: dict[str, object], pooling: str | None
) -> None:
    text = save_tiny_sentences(tmp_path / "text")
    (text / "1_Pooling/config.json").write_text(json.dumps(settings))
    image = save_tiny_vit(tmp_path / "image")
    if pooling is None:
        with pytest.raises(BadModel, match=r"1_Pooling/config\.json.*--pooling mean"):
            join(text, image, tmp_path / "joined")
    joined = join(text, image, tmp_path / "joined", pooling=None if pooling else "first")
    config = json.loads((joined / "config.json").read_text())
    assert config["text"]["pooling"] == (pooling or "first")


@pytest.mark.parametrize(
    ("kind", "is_refused"),
    [
        ("sentence_transformers.models.Normalize", False),
        ("sentence_transformers.models.Dense", True),
        ("sentence_transformers.sentence_transformer.modules.dense.Dense", True),
        ("custom.Head", True),
    ],
)
def test_a_layer_behind_the_pooling_is_not_left_out_without_a_word(
    tmp_path: Path, kind: str, *, is_refused: bool
) -> None:
    text, image = save_tiny_sentences(tmp_path / "text"), save_tiny_vit(tmp_path / "image")
    modules = json.loads((text / "modules.json").read_text())
    modules.append({"idx": 2, "name": "2", "path": "2_Last", "type": kind})
    (text / "modules.json").write_text(json.dumps(modules))
    if is_refused:
        name = kind.rpartition(".")[2]
        with pytest.raises(BadModel, match=rf"modules\.json.* {name} .*--pooling mean"):
            join(text, image, tmp_path / "joined")
        assert not (tmp_path / "joined").exists()
    joined = join(text, image, tmp_path / "joined", pooling="mean" if is_refused else None)
    assert json.loads((joined / "config.json").read_text())["text"]["pooling"] == "mean"


def test_another_pooling_in_the_configuration_is_refused(tmp_path: Path) -> None:
    text, image = save_tiny_bert(tmp_path / "text"), save_tiny_vit(tmp_path / "image")
    path = join(text, image, tmp_path / "joined") / "config.json"
    config = json.loads(path.read_text())
    config["text"]["pooling"] = "max"
    path.write_text(json.dumps(config))
    with pytest.raises(BadModel, match="pooling of the text tower is 'max'"):
        resolve_encoder(find_weights(str(path.parent)), "text", "cpu")


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
