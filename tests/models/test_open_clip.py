"""Models of open_clip, XLM-R's and NLLB's among them, beside open_clip itself."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tusou_indexer.build import BuildSpec, build

from tests.drawing import image_line
from tests.models.family_checks import (
    LibraryVectors,
    check_commands,
    check_invariance,
    check_parity,
    encode_texts,
)
from tests.models.tiny import CONTEXT, SIDE, TEXTS
from tests.models.tiny_multilingual import (
    save_tiny_nllb_clip,
    save_tiny_open_clip,
    save_tiny_xlm_roberta_clip,
)
from tusou import open_bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadModel, IncompatibleBundle, MissingDependency
from tusou.encoders import find_weights, resolve_encoder

pytestmark = pytest.mark.models

SAVED = {
    "nllb": save_tiny_nllb_clip,
    "open_clip": save_tiny_open_clip,
    "xlm_roberta": save_tiny_xlm_roberta_clip,
}


@pytest.fixture(scope="module", params=sorted(SAVED))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SAVED[request.param](tmp_path_factory.mktemp(request.param) / "model")


def library_of(folder: Path) -> LibraryVectors:
    """Return the vectors of open_clip, by its own functions for a local folder."""
    import open_clip
    import torch

    name = f"local-dir:{folder}"
    module, preprocess = open_clip.create_model_from_pretrained(name)
    module.eval()
    tokenizer = open_clip.get_tokenizer(name)

    def texts(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            vectors: np.ndarray[Any, Any] = module.encode_text(tokenizer(list(texts))).numpy()
        return vectors

    def images(images: Sequence[Image.Image]) -> np.ndarray[Any, Any]:
        pixels = torch.stack([preprocess(image) for image in images])
        with torch.inference_mode():
            vectors: np.ndarray[Any, Any] = module.encode_image(pixels).numpy()
        return vectors

    return LibraryVectors(texts, images)


def test_vectors_are_those_of_open_clip(model: Path) -> None:
    check_parity(model, library_of(model))


def test_a_vector_does_not_depend_on_its_batch(model: Path) -> None:
    check_invariance(model)


@pytest.mark.timeout(400)
def test_it_is_indexed_evaluated_and_served(model: Path, tmp_path: Path) -> None:
    check_commands(model, tmp_path)


def test_the_record_says_what_the_weights_do_not_show(tmp_path: Path) -> None:
    model = save_tiny_xlm_roberta_clip(tmp_path / "model")
    record = resolve_encoder(find_weights(str(model)), "text", "cpu").record
    assert record is not None
    fields = record.model_dump(exclude={"tokenizer_sha256", "mean", "std", "transform"})
    assert fields == {
        "family": "open_clip",
        "library": "open_clip",
        "architecture": "CustomTextCLIP",
        "tokenizer": "XLMRobertaTokenizer",
        "context_length": CONTEXT,
        "padding": "longest",
        "lower_case": False,
        "template": None,
        "normalized": True,
        "logit_scale": pytest.approx(1 / 0.07, rel=1e-5),
        "logit_bias": 0.0,
        "license": "mit",
    }
    assert record.transform.model_dump() == {
        "side": SIDE,
        "fit": "squash",
        "shorter_side": None,
        "interpolation": "bicubic",
        "rgb_first": False,
        "round_crop": True,
    }


def test_a_name_of_open_clip_with_its_checkpoint_is_the_folder_of_that_architecture(
    tmp_path: Path,
) -> None:
    """The smallest architecture of the library, in each format of its checkpoints."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    module = open_clip.create_model("ViT-S-32-alt", load_weights=False).eval()
    path = tmp_path / "epoch_1.pt"
    state = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": state}, path)
    save_file(module.state_dict(), tmp_path / "open_clip_model.safetensors")
    config = {"model_cfg": open_clip.get_model_config("ViT-S-32-alt"), "preprocess_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with torch.inference_mode():
        expected = module.encode_text(open_clip.get_tokenizer("ViT-S-32-alt")(TEXTS)).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    parameters = sum(
        tensor.numel()
        for name, tensor in module.named_parameters()
        if not name.startswith(("visual.", "logit_scale"))
    )
    for place in (f"open_clip:ViT-S-32-alt@{path}", str(tmp_path)):
        weights = find_weights(place)
        resolved = resolve_encoder(weights, "text", "cpu")
        assert resolved.record is not None
        assert resolved.record.context_length == 77
        assert resolved.parameter_count == parameters
        vectors = encode_texts(Path(place), TEXTS)
        assert (vectors * expected).sum(axis=1).min() >= 0.99999


@pytest.mark.parametrize(
    ("mark", "options"),
    [
        pytest.param("</s>", {}, id="padding-is-the-end"),  # as in SigLIP
        pytest.param("<pad>", {}, id="padding-of-its-own"),
        pytest.param("<pad>", {"strip_sep_token": True}, id="end-is-removed"),  # as in CLIPA
        pytest.param("<pad>", {"clean": "canonicalize"}, id="cleaned"),
    ],
)
def test_texts_that_are_cut_are_told_whatever_the_padding_is(
    tmp_path: Path, mark: str, options: dict[str, object]
) -> None:
    from transformers import AutoTokenizer

    from tusou.encoders.library.base import open_library_tokenizer

    model = save_tiny_xlm_roberta_clip(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.pad_token = mark
    tokenizer.save_pretrained(model)
    path = model / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = options
    path.write_text(json.dumps(config))
    weights = find_weights(str(model))
    record = resolve_encoder(weights, "text", "cpu").record
    assert record is not None
    opened = open_library_tokenizer(weights, record)
    words = ["red", "dress", "car", "dogs"]
    texts = [" ".join((words * CONTEXT)[:count]) for count in range(CONTEXT * 2)]
    _, truncated = opened.tokenize(texts)
    assert truncated == [len(tokenizer(text)["input_ids"]) > CONTEXT for text in texts]
    assert truncated == sorted(truncated)
    assert set(truncated) == {False, True}


def test_a_text_of_the_token_that_pads_may_be_cut_too(tmp_path: Path) -> None:
    """In OpenAI's vocabulary token 0 is the exclamation mark."""
    from tusou.encoders.library.base import open_library_tokenizer

    weights = find_weights(str(save_tiny_open_clip(tmp_path / "model")))
    record = resolve_encoder(weights, "text", "cpu").record
    assert record is not None
    tokenizer = open_library_tokenizer(weights, record)
    room = record.context_length - 2
    texts = [" ".join("!" * count) for count in (room - 1, room, room + 1, room + 9)]
    assert tokenizer.tokenize(texts)[1] == [False, False, True, True]


def test_the_options_of_a_tokenizer_are_part_of_its_digest(tmp_path: Path) -> None:
    model = save_tiny_open_clip(tmp_path / "model")
    path = model / "open_clip_config.json"
    digests = set()
    for options in ({}, {"clean": "canonicalize"}, {"clean": "whitespace"}):
        config = json.loads(path.read_text())
        config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = options
        path.write_text(json.dumps(config))
        record = resolve_encoder(find_weights(str(model)), "text", "cpu").record
        assert record is not None
        digests.add(record.tokenizer_sha256)
    assert len(digests) == 3


@pytest.mark.parametrize("part", ["text", "image", "tokenizer"])
def test_files_that_change_before_the_library_reads_them_are_refused(
    tmp_path: Path, part: str
) -> None:
    """Its library opens them by their names, after their digest was computed."""
    from tusou.encoders.library.base import open_library_model, open_library_tokenizer

    model = save_tiny_nllb_clip(tmp_path / "model")
    other = save_tiny_nllb_clip(tmp_path / "other", seed=1)
    weights = find_weights(str(model))
    record = resolve_encoder(weights, "text", "cpu").record
    assert record is not None
    name = "tokenizer.json" if part == "tokenizer" else "open_clip_model.safetensors"
    (other / name).replace(model / name)

    def load() -> object:
        if part == "tokenizer":
            return open_library_tokenizer(weights, record)
        return open_library_model(weights, record, ("text",) if part == "text" else ("image",))

    with pytest.raises(BadModel, match=f"{name} changed while it was read"):
        load()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    model = save_tiny_open_clip(tmp_path / "model")
    shutil.copytree(model, tmp_path / "timm")
    config = json.loads((model / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["timm_model_name"] = "vit_base_patch16_224"
    (tmp_path / "timm" / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(MissingDependency, match="pip install timm"):
        resolve_encoder(find_weights(str(tmp_path / "timm")), "image", "cpu")
    (model / "open_clip_model.safetensors").unlink()
    with pytest.raises(BadModel, match=r"no weights: copy open_clip_model\.safetensors"):
        resolve_encoder(find_weights(str(model)), "text", "cpu")


def test_a_text_model_that_is_not_known_must_have_its_configuration(tmp_path: Path) -> None:
    model = save_tiny_xlm_roberta_clip(tmp_path / "model")
    shutil.rmtree(model / "text")
    with pytest.raises(BadModel, match=r"copy its config\.json to"):
        encode_texts(model, TEXTS)


def build_bundle(model: str, folder: Path) -> Path:
    pool = folder / "MR_test_imgs.tsv"
    pool.write_bytes(b"".join(image_line(f"{number}.jpg", number) for number in range(3)))
    spec = BuildSpec(str(pool), model, workers=1, device="cpu", precision="fp32")
    build(spec, folder / "bundle", NoProgress())
    return folder / "bundle"


def test_another_configuration_of_the_text_tower_is_another_model(tmp_path: Path) -> None:
    """It lies in a folder of its own, and the vectors depend on it."""
    model = save_tiny_xlm_roberta_clip(tmp_path / "model")
    edit_config(model, "open_clip_config.json", "model_cfg", "text_cfg", hf_model_name="text")
    bundle = build_bundle(str(model), tmp_path)
    same, other = (
        Path(shutil.copytree(model, tmp_path / name / "model")) for name in ("same", "other")
    )
    edit_config(other, "text/config.json", layer_norm_eps=0.1)
    before, after = encode_texts(same, TEXTS), encode_texts(other, TEXTS)
    assert (before * after).sum(axis=1).min() < 0.9999
    with open_bundle(bundle, model=str(same), device="cpu") as search:
        assert len(search.search("红色碎花裙", 3).item_ids) == 3
    with pytest.raises(IncompatibleBundle, match=r"found model \(sha256 .*; give the right model"):
        open_bundle(bundle, model=str(other), device="cpu")


def test_a_configuration_of_the_text_tower_that_changes_while_it_is_read_is_refused(
    tmp_path: Path,
) -> None:
    from tusou.encoders.library.base import open_library_model

    model = save_tiny_nllb_clip(tmp_path / "model")
    weights = find_weights(str(model))
    record = resolve_encoder(weights, "text", "cpu").record
    assert record is not None
    path = model / "text/config.json"
    shutil.copyfile(path, tmp_path / "config.json")
    (tmp_path / "config.json").replace(path)
    with pytest.raises(BadModel, match=r"config\.json changed while it was read"):
        open_library_model(weights, record)


def test_the_configuration_beside_a_checkpoint_is_part_of_its_digest(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"tensors")
    name = f"open_clip:roberta-ViT-B-32@{tmp_path}/model.pt"
    digests = [find_weights(name).digest]
    path = tmp_path / "roberta-base" / "config.json"
    path.parent.mkdir()
    for eps in (1e-5, 1e-12):
        path.write_text(json.dumps({"model_type": "roberta", "layer_norm_eps": eps}))
        digests.append(find_weights(name).digest)
    assert len(set(digests)) == 3
    path.unlink()
    assert find_weights(name).digest == digests[0]


def edit_config(model: Path, name: str, *keys: str, **fields: object) -> None:
    """Change fields of a JSON file of a model, in the object that the keys lead to."""
    config = json.loads((model / name).read_text())
    inner = config
    for key in keys:
        inner = inner[key]
    inner.update(fields)
    (model / name).write_text(json.dumps(config))


def test_images_that_are_padded_to_squares_are_refused(tmp_path: Path) -> None:
    model = save_tiny_open_clip(tmp_path / "model")
    edit_config(model, "open_clip_config.json", "preprocess_cfg", resize_mode="longest")
    with pytest.raises(BadModel, match=r"pads its images \(resize mode longest\)"):
        resolve_encoder(find_weights(str(model)), "image", "cpu")


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    """Its towers are Tusou's own, which name the tensor that does not fit."""
    model = save_tiny_open_clip(tmp_path / "model")
    keys = ("model_cfg", "text_cfg")
    edit_config(model, "open_clip_config.json", *keys, hf_model_name="xlm-roberta-base")
    with pytest.raises(BadModel, match="has no tensor"):
        encode_texts(model, TEXTS)
