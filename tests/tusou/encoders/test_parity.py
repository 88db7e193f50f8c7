"""Parity of our encoders with stock cn_clip, for every model and backend."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from cn_clip.clip import tokenize
from cn_clip.clip.utils import image_transform
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tusou.core.arrays import Vectors
from tusou.core.errors import BadModel, InvalidRequest
from tusou.encoders import TextEncoder, Weights, find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.devices import has_int8
from tusou.encoders.torch.cpu_threads import CpuThreads
from tusou.encoders.torch.encoder import to_input
from tusou.images.preprocess import to_pixels
from tusou.images.transform import ImageTransform

if TYPE_CHECKING:
    from tests.tusou.encoders.conftest import Sample

TEXTS = [
    "红色碎花吊带裙",
    "北欧轻奢边几",
    "“复古” ABC 2023 连衣裙",
    "裙",
    "",
    "男士黑色皮鞋，" * 12,
    "[MASK] é ２ＸＬ 😀",
]


def weights_of(sample: "Sample") -> Weights:
    return find_weights(str(sample.path))


def is_resnet(sample: "Sample") -> bool:
    return "attnpool.c_proj.weight" in sample.stock.visual.state_dict()


def stock_texts(sample: "Sample", texts: list[str]) -> Vectors:
    """Encode as for the published figures: lower case, plain quotes, 52 tokens."""
    cleaned = [text.lower().replace("“", '"').replace("”", '"') for text in texts]
    with torch.inference_mode():
        features = sample.stock.encode_text(tokenize(cleaned))
    return torch.nn.functional.normalize(features).numpy()


def stock_images(sample: "Sample", images: list[Image.Image]) -> Vectors:
    batch = torch.stack([image_transform(sample.image_size)(image) for image in images])
    with torch.inference_mode():
        return torch.nn.functional.normalize(sample.stock.encode_image(batch)).numpy()


def noise(size: tuple[int, int], seed: int) -> Image.Image:
    drawn = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    drawn[..., seed % 3] //= 8  # tinted: a ResNet averages plain noise away
    return Image.fromarray(drawn)


def cosines(ours: Vectors, theirs: Vectors) -> Vectors:
    cosine: Vectors = np.einsum("nd,nd->n", ours.astype(np.float64), theirs.astype(np.float64))
    return cosine


def assert_same(ours: Vectors, theirs: Vectors) -> None:
    """Compare row by row, after checking that different rows differ enough."""
    assert np.triu(theirs @ theirs.T, 1).max() < 0.999
    assert cosines(ours, theirs).min() >= 0.99999


def assert_unit_rows(vectors: Vectors, shape: tuple[int, int]) -> None:
    assert (vectors.shape, vectors.dtype) == (shape, np.float32)
    assert vectors.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_texts_agree_with_stock(sample: "Sample", backend: str) -> None:
    encoder = load_text_encoder(weights_of(sample), "cpu", precision="fp32", backend=backend)
    vectors = encoder.encode(encoder.prepare(TEXTS))
    assert_unit_rows(vectors, (len(TEXTS), encoder.dim))
    assert_same(vectors, stock_texts(sample, TEXTS))


def test_images_agree_with_stock(sample: "Sample", backend: str) -> None:
    if is_resnet(sample) and backend == "openvino":
        pytest.skip("OpenVINO is refused for a ResNet")
    encoder = load_image_encoder(weights_of(sample), "cpu", "fp32", backend)
    images = [noise((300, 200), 1), noise((50, 90), 2), Image.new("RGB", (9, 9), "red")]
    pixels = np.stack([to_pixels(image, encoder.transform) for image in images])
    vectors = encoder.encode(pixels)
    assert_unit_rows(vectors, (3, encoder.dim))
    assert_same(vectors, stock_images(sample, images))


# The relative error of one rounding. bf16 keeps 8 significant bits. int8 rounds to a 127th of the
# largest number in a row, which is about four times the root mean square; the rounding error is
# uniform, so its root mean square is the half step divided by the square root of 3.
ROUNDING_ERROR = {"bf16": 2**-9, "int8": 4 * 0.5 / 127 / 3**0.5}
# Roundings per layer. bf16 rounds weights, inputs and outputs of four products, and query, key and
# value of attention; int8 rounds the weights and inputs of four products.
ROUNDINGS = {"bf16": 15, "int8": 8}
LOWER = [
    ("torch", "bf16"),
    ("openvino", "bf16"),
    pytest.param(
        "openvino",
        "int8",
        marks=pytest.mark.skipif(not has_int8(), reason="the processor has no VNNI"),
    ),
]


def least_cosine(precision: str, layers: int) -> float:
    """Return a lower bound of the cosine with float32, on any processor.

    Independent relative errors add up in squares, and vectors that differ by a relative error e
    have a cosine of 1 - e**2 / 2. The embedding and the projection count as a layer each.
    """
    squared_error = (layers + 2) * ROUNDINGS[precision] * ROUNDING_ERROR[precision] ** 2
    return 1 - squared_error / 2


@pytest.mark.parametrize(("backend", "precision"), LOWER, indirect=["backend"])
def test_lower_precisions_stay_close(sample: "Sample", backend: str, precision: str) -> None:
    texts = load_text_encoder(weights_of(sample), "cpu", precision=precision, backend=backend)
    vectors = texts.encode(texts.prepare(TEXTS))
    assert_unit_rows(vectors, (len(TEXTS), texts.dim))
    least = least_cosine(precision, len(sample.stock.bert.encoder.layer))
    assert cosines(vectors, stock_texts(sample, TEXTS)).min() >= least
    if is_resnet(sample):
        with pytest.raises(InvalidRequest, match="ResNet"):
            load_image_encoder(weights_of(sample), "cpu", precision, backend)
        return
    image_encoder = load_image_encoder(weights_of(sample), "cpu", precision, backend)
    image = noise((300, 200), 1)
    vectors = image_encoder.encode(to_pixels(image, image_encoder.transform)[None])
    least = least_cosine(precision, len(sample.stock.visual.transformer.resblocks))
    assert cosines(vectors, stock_images(sample, [image])).min() >= least


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_bytes_in_fp32_do_not_depend_on_timing(
    tiny: "Sample", precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of cores that share a short text is timed, and changes float32's last digits."""
    calibrated: list[object] = []
    monkeypatch.setattr(CpuThreads, "calibrate", lambda _, work: calibrated.append(work()))
    load_text_encoder(weights_of(tiny), "cpu", precision=precision, backend="torch")
    assert len(calibrated) == (precision != "fp32")


def test_the_code_path_of_a_gpu_agrees_on_a_cpu(tiny: "Sample") -> None:
    """fp16 uses the code path of a GPU: torch's linear layers, norms and sums in float32."""
    texts = load_text_encoder(weights_of(tiny), "cpu", precision="fp16")
    vectors = texts.encode(texts.prepare(TEXTS))
    assert cosines(vectors, stock_texts(tiny, TEXTS)).min() >= 0.99999
    image_encoder = load_image_encoder(weights_of(tiny), "cpu", precision="fp16")
    images = [noise((300, 200), 1), noise((50, 90), 2)]
    vectors = image_encoder.encode(
        np.stack([to_pixels(image, ImageTransform(64)) for image in images])
    )
    assert cosines(vectors, stock_images(tiny, images)).min() >= 0.99999


@pytest.fixture(scope="module")
def encoder(tiny: "Sample", backend: str) -> TextEncoder:
    return load_text_encoder(weights_of(tiny), "cpu", backend=backend)


def test_a_batch_larger_than_one_pass_keeps_its_order(encoder: TextEncoder) -> None:
    texts = [TEXTS[i % len(TEXTS)] + str(i) for i in range(90)]
    together = encoder.encode(encoder.prepare(texts))
    alone = np.concatenate([encoder.encode(encoder.prepare([text])) for text in texts])
    assert cosines(together, alone).min() > 0.999999


def test_concurrent_calls_get_their_own_vectors(encoder: TextEncoder) -> None:
    batches = [[f"{text}{number}" for text in TEXTS] for number in range(8)]
    expected = [encoder.encode(encoder.prepare(batch)) for batch in batches]
    with ThreadPoolExecutor(4) as callers:
        results = list(callers.map(lambda batch: encoder.encode(encoder.prepare(batch)), batches))
    for concurrent, alone in zip(results, expected, strict=True):
        np.testing.assert_array_equal(concurrent, alone)


def test_many_images_keep_their_order(tiny: "Sample", backend: str) -> None:
    encoder = load_image_encoder(weights_of(tiny), "cpu", backend=backend)
    pixels = np.stack([to_pixels(noise((64, 64), seed), ImageTransform(64)) for seed in range(70)])
    alone = np.concatenate([encoder.encode(pixels[i : i + 1]) for i in range(70)])
    assert cosines(encoder.encode(pixels), alone).min() > 0.999999


def test_empty_batches_have_no_rows(tiny: "Sample", encoder: TextEncoder, backend: str) -> None:
    assert encoder.encode(encoder.prepare([])).shape == (0, 48)
    image_encoder = load_image_encoder(weights_of(tiny), "cpu", backend=backend)
    assert image_encoder.encode(np.empty((0, 64, 64, 3), np.uint8)).shape == (0, 48)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=80), max_size=4))
def test_any_text_has_one_vector(encoder: TextEncoder, texts: list[str]) -> None:
    first = encoder.encode(encoder.prepare(texts))
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, encoder.encode(encoder.prepare(texts)))


def test_a_prompt_is_part_of_the_text(tiny: "Sample") -> None:
    prompted = load_text_encoder(weights_of(tiny), "cpu", prompt="这是一个商品搜索：{query}")
    vectors = prompted.encode(prompted.prepare(["吊带裙", "裙" * 45]))
    expected = stock_texts(tiny, ["这是一个商品搜索：吊带裙", "这是一个商品搜索：" + "裙" * 45])
    assert prompted.dim == 48
    assert_same(vectors, expected)
    assert prompted.prepare(["裙" * 41, "裙" * 42]).truncated == (False, True)


@pytest.mark.gpu
def test_a_gpu_in_half_precision_agrees_with_stock(sample: "Sample") -> None:
    """Half precision, cn_clip's on a GPU, keeps the ranks and changes the fifth digit."""
    texts = load_text_encoder(weights_of(sample), "cuda")
    vectors = texts.encode(texts.prepare(TEXTS))
    assert cosines(vectors, stock_texts(sample, TEXTS)).min() >= 0.999
    image_encoder = load_image_encoder(weights_of(sample), "cuda")
    image = noise((300, 200), 1)
    vectors = image_encoder.encode(to_pixels(image, image_encoder.transform)[None])
    assert cosines(vectors, stock_images(sample, [image])).min() >= 0.999


def test_normalisation_equals_torchvision_bit_for_bit() -> None:
    image = Image.fromarray(np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3))
    ours = to_input(torch.from_numpy(to_pixels(image, ImageTransform(16)))[None])[0]
    torch.testing.assert_close(ours, image_transform(16)(image), rtol=0, atol=0)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "mps", "cuda:", "CPU", ""])
def test_a_missing_device_is_refused(tiny: "Sample", device: str) -> None:
    with pytest.raises(InvalidRequest, match="device"):
        load_text_encoder(weights_of(tiny), device)


@pytest.mark.parametrize("precision", ["fp64", "", "FP32"])
def test_an_unknown_precision_is_refused(tiny: "Sample", precision: str) -> None:
    with pytest.raises(InvalidRequest, match="precision"):
        load_text_encoder(weights_of(tiny), "cpu", precision=precision)


def test_neither_tower_imports_torchvision(tiny: "Sample") -> None:
    code = """
import sys
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
assert not {"torch", "cn_clip"} & set(sys.modules)
weights = find_weights(sys.argv[1])
texts, images = load_text_encoder(weights, "cpu"), load_image_encoder(weights, "cpu")
texts.encode(texts.prepare(["裙"]))
assert not {"torchvision", "torch._dynamo"} & set(sys.modules)
"""
    command = [sys.executable, "-c", code, str(tiny.path)]
    subprocess.run(command, check=True, timeout=60)


def test_a_model_with_another_vocabulary_is_refused(tiny: "Sample", tmp_path: Path) -> None:
    state = tiny.stock.state_dict()
    name = "bert.embeddings.word_embeddings.weight"
    torch.save(state | {name: state[name][:1000]}, tmp_path / "few.pt")
    with pytest.raises(BadModel, match="1000 tokens"):
        load_text_encoder(find_weights(str(tmp_path / "few.pt")), "cpu")


def test_a_model_with_too_few_positions_is_refused(tiny: "Sample", tmp_path: Path) -> None:
    state = tiny.stock.state_dict()
    name = "bert.embeddings.position_embeddings.weight"
    torch.save(state | {name: state[name][:51]}, tmp_path / "short.pt")
    with pytest.raises(BadModel, match="52 text positions"):
        load_text_encoder(find_weights(str(tmp_path / "short.pt")), "cpu")
