"""Exported towers, run by ONNX Runtime, give the vectors of our own encoders."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.drawing import image_bytes
from tests.models.tiny import save_tiny_siglip
from tests.models.tiny_clip import save_tiny_clip
from tests.tusou.encoders.conftest import TINY, published_config, sample_of
from tusou.core.arrays import Pixels, Vectors
from tusou.core.errors import BadModel, OutputExists
from tusou.encoders import (
    ImageEncoder,
    TextEncoder,
    Tokens,
    find_weights,
    load_image_encoder,
    load_text_encoder,
)
from tusou.images.preprocess import open_image, to_pixels

pytestmark = pytest.mark.models

CLOSE = 1e-4  # what the export promises, in every number of a vector
BATCHES = (1, 2, 7, 32)
TEXTS = [
    "红色碎花吊带裙",
    "“复古” ABC 2023 连衣裙",
    "裙",
    "",
    "男士黑色皮鞋，" * 12,
    "é ２ＸＬ 😀 Wi-Fi's unaffable\u200b",
]
TINY_RESNET = {"vision_layers": (1, 2, 1, 1), "vision_width": 16, "vision_patch_size": None}
CONFIGS: dict[str, Callable[[], dict[str, Any]]] = {
    "tiny": lambda: TINY,
    "tiny ResNet": lambda: TINY | TINY_RESNET,
    "RN50": lambda: published_config("RN50"),
    "ViT-B-16": lambda: published_config("ViT-B-16"),
}


@dataclass(frozen=True)
class Exported:
    """A model as a checkpoint, and the folder that it was exported to."""

    checkpoint: Path
    folder: Path
    is_tiny: bool

    @property
    def record(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "model.json").read_text("utf-8"))
        return content

    def texts(self) -> TextEncoder:
        return load_text_encoder(find_weights(str(self.checkpoint)), "cpu", None, "fp32", "torch")

    def images(self) -> ImageEncoder:
        return load_image_encoder(find_weights(str(self.checkpoint)), "cpu", "fp32", "torch")

    def run(self, tower: str, batch: npt.NDArray[Any], folder: Path | None = None) -> Vectors:
        session = open_session((folder or self.folder) / f"{tower}.onnx")
        (vectors,) = session.run(None, {session.get_inputs()[0].name: batch})
        return np.asarray(vectors)


@lru_cache(2)  # both towers of a model
def open_session(path: Path) -> Any:
    from onnxruntime import InferenceSession

    return InferenceSession(path)


@pytest.fixture(scope="module", params=CONFIGS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("onnx")
    return export(sample_of(CONFIGS[request.param](), folder).path, "tiny" in request.param)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(sample_of(TINY, tmp_path_factory.mktemp("onnx")).path, is_tiny=True)


def export(checkpoint: Path, is_tiny: bool) -> Exported:
    from tusou_lab.convert_model.onnx_export import export_onnx

    folder = checkpoint.with_suffix(".onnx")
    export_onnx(str(checkpoint), folder)
    return Exported(checkpoint, folder, is_tiny)


def draw_ids(count: int, width: int) -> npt.NDArray[np.int64]:
    """Draw texts of 3 tokens to `width`, at least one of them as long, padded with 0."""
    rng = np.random.default_rng([count, width])
    ids = rng.integers(1, 21_128, (count, width))
    lengths = rng.integers(3, width + 1, count)
    lengths[rng.integers(count)] = width
    ids[np.arange(width) >= lengths[:, None]] = 0
    return ids


def draw_pixels(count: int, side: int) -> Pixels:
    """Draw images of large fields: a ResNet hardly tells noise from other noise."""
    fields = np.random.default_rng(count).integers(0, 256, (count, 4, 4, 3), np.uint8)
    return fields.repeat(side // 4, axis=1).repeat(side // 4, axis=2)


def test_texts_of_any_number_and_length_agree(exported: Exported) -> None:
    encoder = exported.texts()
    for count in BATCHES:
        for width in range(3, 53) if exported.is_tiny else (3, 52):
            ids = draw_ids(count, width)
            vectors = exported.run("text", ids)
            assert vectors.shape == (count, encoder.dim)
            expected = encoder.encode(Tokens(ids, (False,) * count))
            assert np.abs(vectors - expected).max() <= CLOSE


def test_any_number_of_images_agrees(exported: Exported) -> None:
    encoder = exported.images()
    for count in BATCHES if exported.is_tiny else (1, 2):
        pixels = draw_pixels(count, encoder.transform.side)  # type: ignore[union-attr]
        vectors = exported.run("image", pixels)
        assert np.abs(vectors - encoder.encode(pixels)).max() <= CLOSE


def test_different_inputs_have_different_vectors(exported: Exported) -> None:
    """A graph that ignores its input would agree with an encoder that does."""
    texts = exported.run("text", draw_ids(7, 17))
    side = exported.record["image"]["transform"]["side"]
    images = exported.run("image", draw_pixels(7, side))
    for vectors in (texts, images):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        cosines = vectors @ vectors.T - np.eye(7)
        assert cosines.max() < 0.9999


def test_padding_changes_nothing(tiny: Exported) -> None:
    ids = draw_ids(7, 17)
    padded = np.pad(ids, ((0, 0), (0, 35)))
    np.testing.assert_allclose(tiny.run("text", padded), tiny.run("text", ids), atol=1e-6)


def test_the_files_are_valid_and_of_one_opset(exported: Exported) -> None:
    import onnx

    for tower in ("text", "image"):
        path = exported.folder / f"{tower}.onnx"
        onnx.checker.check_model(path, full_check=True)
        model = onnx.load(path, load_external_data=False)
        (opset,) = model.opset_import
        assert (opset.domain, opset.version) == ("", exported.record["opset"]) == ("", 17)


def test_the_record_describes_inputs_and_outputs(exported: Exported) -> None:
    record = exported.record
    for tower in ("text", "image"):
        part = record[tower]
        session = open_session(exported.folder / part["file"])
        for kind, values in ("input", session.get_inputs()), ("output", session.get_outputs()):
            (value,) = values
            assert part[kind]["name"] == value.name
            assert part[kind]["shape"] == value.shape
            assert {"float32": "float"}.get(part[kind]["type"], part[kind]["type"]) in value.type
    weights = find_weights(str(exported.checkpoint))
    assert (record["model"], record["sha256"]) == ("checkpoint.pt", weights.digest)
    assert record["dim"] == exported.texts().dim


def test_other_tokenizers_read_the_vocabulary(tiny: Exported) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tiny.folder / "tokenizer.json"))
    ids = np.array([row.ids for row in tokenizer.encode_batch(TEXTS)])
    np.testing.assert_array_equal(ids, tiny.texts().prepare(TEXTS).ids)
    lines = (tiny.folder / "vocab.txt").read_text("utf-8").split("\n")
    record = tiny.record["text"]["tokenizer"]
    assert [lines[record[name]] for name in ("padding", "unknown", "first", "last")] == [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
    ]


def test_constants_lie_beside_a_graph_that_is_too_large(tiny: Exported, tmp_path: Path) -> None:
    from tusou_lab.convert_model.onnx_export import export_onnx

    report = export_onnx(str(tiny.checkpoint), tmp_path / "large", max_file_bytes=1 << 20)
    assert report.files["text.onnx"] < 1 << 20 < report.files["text.onnx.data"]
    for tower, batch in ("text", draw_ids(2, 9)), ("image", draw_pixels(2, 64)):
        vectors = tiny.run(tower, batch, tmp_path / "large")
        np.testing.assert_array_equal(vectors, tiny.run(tower, batch))


def test_a_folder_is_replaced_only_if_it_was_made_here(tiny: Exported, tmp_path: Path) -> None:
    from tusou_lab.convert_model.onnx_export import export_onnx

    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputExists):
        export_onnx(str(tiny.checkpoint), tmp_path / "mine", force=True)
    with pytest.raises(OutputExists):
        export_onnx(str(tiny.checkpoint), tiny.folder)
    export_onnx(str(tiny.checkpoint), tmp_path / "again")
    (tmp_path / "again" / "text.onnx").unlink()
    report = export_onnx(str(tiny.checkpoint), tmp_path / "again", force=True)
    assert report.files == {path.name: path.stat().st_size for path in tiny.folder.iterdir()}


@pytest.mark.parametrize("page", ["onnx.md", "zh/onnx.md"])
def test_the_example_of_the_pages_runs_without_us(
    page: str, tiny: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert "tusou" not in code.replace("`tusou convert-model", "")
    (tmp_path / "m").symlink_to(tiny.folder)
    for number in (1, 2, 3):
        (tmp_path / f"{number}.jpg").write_bytes(image_bytes(number, 90))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    encoder, images = tiny.texts(), tiny.images()
    queries = ["红色碎花吊带裙", "男士 “真皮” 皮鞋"]
    assert all(query in code for query in queries)
    expected = encoder.encode(encoder.prepare(queries))
    np.testing.assert_allclose(names["texts"], expected, atol=CLOSE)
    pixels = [to_pixels(open_image(image_bytes(n, 90)), images.transform) for n in (1, 2, 3)]
    np.testing.assert_allclose(names["images"], images.encode(np.stack(pixels)), atol=CLOSE)
    assert names["scores"].shape == (2, 3)
    plain = [text for text in TEXTS if "😀" not in text]
    np.testing.assert_array_equal(names["tokenize"](plain), encoder.prepare(plain).ids)


def test_a_clip_is_exported_with_its_tokenizer(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    checkpoint = save_tiny_clip(tmp_path / "clip")
    exported = export(checkpoint, is_tiny=True)
    record = exported.record["text"]["tokenizer"]
    tokenizer = Tokenizer.from_file(str(exported.folder / record["tokenizers"]))
    encoder, images = exported.texts(), exported.images()
    for text in ("a photo of two dogs", "two dogs, running"):
        ids = np.array([tokenizer.encode(text).ids]) + record["first_id"]
        tokens = encoder.prepare([text])
        np.testing.assert_array_equal(ids, tokens.ids)
        padded = np.pad(ids, ((0, 0), (0, 3)))
        for batch in (ids, padded):
            difference = exported.run("text", batch) - encoder.encode(tokens)
            assert np.abs(difference).max() <= CLOSE
    longest = "two dogs " * 60
    for text in (*TEXTS, longest):
        ids = np.array([tokenizer.encode(text).ids]) + record["first_id"]
        tokens = encoder.prepare([text])
        assert np.abs(exported.run("text", ids) - encoder.encode(tokens)).max() <= CLOSE
    assert (ids.shape[1], tokens.truncated) == (record["context"], (True,))
    pixels = draw_pixels(3, exported.record["image"]["transform"]["side"])
    assert np.abs(exported.run("image", pixels) - images.encode(pixels)).max() <= CLOSE


def test_a_model_that_its_library_computes_is_refused(tmp_path: Path) -> None:
    from tusou_lab.convert_model.onnx_export import export_onnx

    model = save_tiny_siglip(tmp_path / "siglip")
    expected = "text tower of siglip is computed by transformers.*export it with that library"
    with pytest.raises(BadModel, match=expected):
        export_onnx(str(model), tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_an_exported_folder_is_named_where_a_model_is_asked_for(tiny: Exported) -> None:
    with pytest.raises(BadModel, match=r"convert-model --to onnx.* see its model\.json"):
        find_weights(str(tiny.folder))
