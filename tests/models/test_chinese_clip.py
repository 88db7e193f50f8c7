"""Chinese-CLIP in every form beside the library of that form: transformers and cn_clip."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cn_clip.clip import tokenize
from cn_clip.clip.model import CLIP
from cn_clip.clip.utils import image_transform
from PIL import Image
from transformers import BertTokenizer, ChineseCLIPImageProcessor, ChineseCLIPModel
from tusou_lab.convert_model.run import convert_model
from tusou_lab.train.models.cn_clip import restore_network

from tests.models.family_checks import check_commands
from tests.models.tiny_chinese_clip import B16, TINY, LibraryModel, save_chinese_clip
from tests.tusou.encoders.conftest import published_config, random_model, training_checkpoint
from tusou.core.arrays import Vectors
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.checkpoint import read_weights
from tusou.encoders.torch.encoder import to_input
from tusou.images.preprocess import to_pixels

pytestmark = pytest.mark.models

TEXTS = ["红色碎花吊带裙", "北欧轻奢边几", "abc 2023 连衣裙", "裙", "男士黑色皮鞋，" * 12]
MANY = [
    f"{color}{thing} {number}" for color in "红黄蓝绿" for thing in "裙鞋包帽" for number in "12"
]


def normalized(features: torch.Tensor) -> Vectors:
    vectors: Vectors = torch.nn.functional.normalize(features).numpy()
    return vectors


def draw_pixels(side: int, count: int = 4) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), np.uint8)


def our_texts(path: Path, backend: str, texts: list[str]) -> Vectors:
    encoder = load_text_encoder(find_weights(str(path)), "cpu", None, "fp32", backend)
    return encoder.encode(encoder.prepare(texts))


def our_images(path: Path, backend: str, side: int, count: int = 4) -> Vectors:
    encoder = load_image_encoder(find_weights(str(path)), "cpu", "fp32", backend)
    return encoder.encode(draw_pixels(side, count))


def library_texts(model: Any, texts: list[str]) -> Vectors:
    ids = tokenize([text.lower() for text in texts])
    with torch.inference_mode():
        output = model.get_text_features(input_ids=ids, attention_mask=(ids != 0).long())
    return normalized(output.pooler_output)


def library_images(model: Any, side: int, count: int = 4) -> Vectors:
    with torch.inference_mode():
        pixels = to_input(torch.from_numpy(draw_pixels(side, count)))
        return normalized(model.get_image_features(pixel_values=pixels).pooler_output)


def assert_same(ours: Vectors, theirs: Vectors) -> None:
    assert (ours * theirs).sum(axis=1).min() >= 0.99999


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LibraryModel:
    return save_chinese_clip(tmp_path_factory.mktemp("tiny") / "m", TINY)


@pytest.fixture(scope="module", params=["tiny", "ViT-B-16"])
def sample(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> LibraryModel:
    if request.param == "tiny":
        tiny: LibraryModel = request.getfixturevalue("tiny")
        return tiny
    return save_chinese_clip(tmp_path_factory.mktemp("b16") / "m", B16, projection_dim=512)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_a_folder_gives_the_vectors_of_transformers(sample: LibraryModel, backend: str) -> None:
    assert_same(our_texts(sample.folder, backend, TEXTS), library_texts(sample.model, TEXTS))
    theirs = library_images(sample.model, sample.side)
    assert_same(our_images(sample.folder, backend, sample.side), theirs)


def test_the_same_ten_images_are_the_nearest(tiny: LibraryModel) -> None:
    ours = our_texts(tiny.folder, "torch", MANY) @ our_images(tiny.folder, "torch", 32, 200).T
    theirs = library_texts(tiny.model, MANY) @ library_images(tiny.model, 32, 200).T
    nearest = [np.argsort(-scores, axis=1, kind="stable")[:, :10] for scores in (ours, theirs)]
    np.testing.assert_array_equal(*nearest)


def as_bin(folder: Path) -> None:
    model = ChineseCLIPModel.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def as_compiled_bin(folder: Path) -> None:
    """Write what a training script saves that forgot to unwrap the model."""
    model = ChineseCLIPModel.from_pretrained(folder)
    state = {f"module._orig_mod.{name}": tensor for name, tensor in model.state_dict().items()}
    position_ids = {"module._orig_mod.text_model.embeddings.position_ids": torch.arange(60)[None]}
    torch.save({"model": state | position_ids, "epoch": 2}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def as_bin_shards(folder: Path) -> None:
    state = ChineseCLIPModel.from_pretrained(folder).state_dict()
    parts: dict[str, dict[str, Any]] = {"pytorch_model-00001-of-00002.bin": {}}
    parts["pytorch_model-00002-of-00002.bin"] = {}
    for number, (name, tensor) in enumerate(state.items()):
        parts[list(parts)[number % 2]][name] = tensor
    for name, part in parts.items():
        torch.save(part, folder / name)
    listed = {tensor: name for name, part in parts.items() for tensor in part}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": listed}))
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("rewrite", [as_bin, as_compiled_bin, as_bin_shards])
def test_pytorch_files_give_the_same_vectors(
    tmp_path: Path, rewrite: Callable[[Path], None]
) -> None:
    saved = save_chinese_clip(tmp_path / "m", TINY)
    rewrite(saved.folder)
    assert_same(our_texts(saved.folder, "torch", TEXTS), library_texts(saved.model, TEXTS))
    assert_same(our_images(saved.folder, "torch", 32), library_images(saved.model, 32))


def test_shards_of_safetensors_give_the_same_vectors(tmp_path: Path) -> None:
    saved = save_chinese_clip(tmp_path / "m", TINY, max_shard_size="400KB")
    assert len(list(saved.folder.glob("model-*.safetensors"))) > 2
    assert_same(our_texts(saved.folder, "torch", TEXTS), library_texts(saved.model, TEXTS))
    assert_same(our_images(saved.folder, "torch", 32), library_images(saved.model, 32))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_the_same_vectors(tmp_path: Path, dtype: torch.dtype) -> None:
    saved = save_chinese_clip(tmp_path / "m", TINY, dtype=dtype)
    assert_same(our_texts(saved.folder, "torch", TEXTS), library_texts(saved.model, TEXTS))
    assert_same(our_images(saved.folder, "torch", 32), library_images(saved.model, 32))


def test_heads_are_those_of_the_configuration(tmp_path: Path) -> None:
    shape = {part: TINY[part] | {"num_attention_heads": 4} for part in TINY}
    saved = save_chinese_clip(tmp_path / "m", shape)
    for backend in ("torch", "openvino"):
        assert_same(our_texts(saved.folder, backend, TEXTS), library_texts(saved.model, TEXTS))
        assert_same(our_images(saved.folder, backend, 32), library_images(saved.model, 32))


def stock_vectors(stock: CLIP, side: int) -> tuple[Vectors, Vectors]:
    pixels = to_input(torch.from_numpy(draw_pixels(side)))
    with torch.inference_mode():
        texts = stock.encode_text(tokenize([text.lower() for text in TEXTS]))
        return normalized(texts), normalized(stock.encode_image(pixels))


def stock_model(path: Path) -> CLIP:
    """Load a checkpoint as cn_clip's `create_model` does, in the precision of a processor."""
    saved = torch.load(path, weights_only=True)
    assert saved.keys() == {"epoch", "step", "name", "state_dict"}
    state = saved["state_dict"]
    assert next(iter(state)).startswith("module.")
    model = restore_network(find_weights(str(path)))
    model.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
    return model.float().eval()


def test_a_folder_becomes_a_checkpoint_of_cn_clip(sample: LibraryModel, tmp_path: Path) -> None:
    convert_model(str(sample.folder), "cnclip", tmp_path / "c.pt")
    stock = stock_model(tmp_path / "c.pt")
    with torch.inference_mode():
        texts = normalized(stock.encode_text(tokenize([text.lower() for text in TEXTS])))
        images = normalized(
            stock.encode_image(to_input(torch.from_numpy(draw_pixels(sample.side))))
        )
    assert_same(texts, library_texts(sample.model, TEXTS))
    assert_same(images, library_images(sample.model, sample.side))
    assert_same(our_texts(tmp_path / "c.pt", "torch", TEXTS), texts)
    assert_same(our_images(tmp_path / "c.pt", "torch", sample.side), images)


def save_stock(path: Path, name: str) -> CLIP:
    model = random_model(published_config(name))
    torch.save(training_checkpoint(model), path)
    return model.float().eval()


def test_a_checkpoint_becomes_a_folder_that_transformers_loads(tmp_path: Path) -> None:
    stock = save_stock(tmp_path / "c.pt", "ViT-B-16")
    convert_model(str(tmp_path / "c.pt"), "transformers", tmp_path / "m")
    model = ChineseCLIPModel.from_pretrained(tmp_path / "m").eval()
    texts, images = stock_vectors(stock, 224)
    assert_same(library_texts(model, TEXTS), texts)
    assert_same(library_images(model, 224), images)
    assert_same(our_texts(tmp_path / "m", "torch", TEXTS), texts)
    assert_same(our_images(tmp_path / "m", "torch", 224), images)


def test_a_resnet_stays_a_checkpoint(tmp_path: Path) -> None:
    stock = save_stock(tmp_path / "c.pt", "RN50")
    convert_model(str(tmp_path / "c.pt"), "cnclip", tmp_path / "d.pt")
    texts, images = stock_vectors(stock, 224)
    assert_same(our_texts(tmp_path / "d.pt", "torch", TEXTS), texts)
    assert_same(our_images(tmp_path / "d.pt", "torch", 224), images)


def test_the_files_beside_the_tensors_prepare_texts_and_images_as_tusou_does(
    tiny: LibraryModel, tmp_path: Path
) -> None:
    convert_model(str(tiny.folder), "cnclip", tmp_path / "c.pt")
    convert_model(str(tmp_path / "c.pt"), "transformers", tmp_path / "m")
    tokenizer = BertTokenizer.from_pretrained(tmp_path / "m")
    ids = tokenizer(TEXTS, padding="max_length", truncation=True, return_tensors="pt").input_ids
    np.testing.assert_array_equal(ids, tokenize(TEXTS))
    processor = ChineseCLIPImageProcessor.from_pretrained(tmp_path / "m")
    image = Image.effect_noise((48, 32), 90).convert("RGB")
    theirs = processor(image, return_tensors="pt").pixel_values[0]
    assert theirs.shape == (3, 32, 32)
    # The library resizes with torchvision, which rounds a few pixels otherwise than Pillow.
    assert (theirs - image_transform(32)(image)).abs().max() < 0.02


def test_images_are_prepared_as_cn_clip_does_whatever_their_mode(tiny: LibraryModel) -> None:
    """The published folders name cn_clip's square; transformers would convert it to RGB first."""
    encoder = load_image_encoder(find_weights(str(tiny.folder)), "cpu", "fp32", "torch")
    palette = Image.effect_noise((48, 40), 90).convert("RGB").quantize(16)
    assert not encoder.transform.rgb_first
    pixels = to_input(torch.from_numpy(to_pixels(palette, encoder.transform)[None]))[0]
    np.testing.assert_allclose(pixels, image_transform(32)(palette), atol=1e-6)


@pytest.mark.timeout(500)
def test_a_folder_is_indexed_evaluated_and_served(tmp_path: Path) -> None:
    check_commands(save_chinese_clip(tmp_path / "m", TINY).folder, tmp_path)


def test_training_begins_with_the_weights_of_a_folder(tiny: LibraryModel) -> None:
    weights = find_weights(str(tiny.folder))
    network = restore_network(weights).eval()
    with torch.inference_mode():
        texts = normalized(network.encode_text(tokenize(TEXTS)))
    assert_same(texts, library_texts(tiny.model, TEXTS))
    assert set(network.state_dict()) == set(read_weights(weights))
