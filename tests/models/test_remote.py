"""Models with code of their own, which runs only where it is trusted."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tusou_indexer.build import BuildSpec, build

from tests.models.family_checks import (
    LibraryVectors,
    check_commands,
    check_invariance,
    check_parity,
    tusou,
)
from tests.models.tiny import CONTEXT, SIDE
from tests.models.tiny_remote import PROMPT, save_tiny_remote
from tests.models.training_checks import check_training
from tusou import open_bundle
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadModel, InvalidRequest
from tusou.core.remote_code import TRUST_VARIABLE
from tusou.encoders import describe_encoder, find_weights, load_text_encoder

pytestmark = [pytest.mark.models, pytest.mark.timeout(500)]

TRUSTED = {TRUST_VARIABLE: "on"}


@pytest.fixture(scope="module", params=["jina", "fg_clip"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "model"
    return save_tiny_remote(folder, like=request.param)


@pytest.fixture
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUST_VARIABLE, "on")


def library_of(folder: Path) -> LibraryVectors:
    """Return the vectors of the folder's own code, with transformers' tokenizer and processors."""
    import torch
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize
    from transformers import AutoTokenizer, CLIPImageProcessorPil
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    config = get_class_from_dynamic_module("configuration_tiny.TinyConfig", str(folder))
    code = get_class_from_dynamic_module("modeling_tiny.TinyModel", str(folder))
    module = code.from_pretrained(folder, config=config.from_pretrained(folder)).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def texts(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        padding = "longest" if "attention_mask" in tokenizer.model_input_names else "max_length"
        options = {"padding": padding, "max_length": CONTEXT, "truncation": True}
        tokens = tokenizer(list(texts), return_tensors="pt", **options)
        names = tokenizer.model_input_names
        with torch.inference_mode():
            return module.get_text_features(**{name: tokens[name] for name in names}).numpy()

    def images(images: Sequence[Image.Image]) -> np.ndarray[Any, Any]:
        if (folder / "config_sentence_transformers.json").exists():
            # As jina-clip's own processor does it, with the classes of torchvision.
            steps = Compose([Resize(SIDE, InterpolationMode.BICUBIC), CenterCrop(SIDE)])
            arrays = np.stack([np.asarray(steps(image), np.float32) for image in images]) / 255
            normal = (arrays - [0.5, 0.4, 0.3]) / [0.2, 0.25, 0.3]
            pixels = torch.from_numpy(normal.transpose(0, 3, 1, 2).astype(np.float32))
        else:
            processor = CLIPImageProcessorPil.from_pretrained(folder)
            pixels = processor(images=list(images), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            return module.get_image_features(pixels).numpy()

    return LibraryVectors(texts, images)


@pytest.mark.usefixtures("_trusted")
def test_vectors_are_those_of_its_own_code(model: Path) -> None:
    check_parity(model, library_of(model))


@pytest.mark.usefixtures("_trusted")
def test_a_vector_does_not_depend_on_its_batch(model: Path) -> None:
    check_invariance(model)


def test_without_trust_nothing_runs_and_the_files_are_named(model: Path, tmp_path: Path) -> None:
    code = tmp_path / "model"
    shutil.copytree(model, code)
    mark, source = tmp_path / "ran", tmp_path / "texts.jsonl"
    source.write_text('{"id": "1", "text": "红色连衣裙"}\n', encoding="utf-8")
    (code / "modeling_tiny.py").write_text(f"open({str(mark)!r}, 'w')")
    for command in (
        lambda: load_text_encoder(find_weights(str(code)), "cpu"),
        lambda: build(BuildSpec(str(source), str(code)), tmp_path / "bundle", NoProgress()),
    ):
        with pytest.raises(InvalidRequest) as raised:
            command()
        assert "configuration_tiny.py, modeling_tiny.py in" in str(raised.value)
        assert "--trust-remote-code" in str(raised.value)
    assert not mark.exists()


@pytest.mark.usefixtures("_trusted")
def test_the_code_is_part_of_the_model(model: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(model, tmp_path / "model"))
    with (changed / "modeling_tiny.py").open("a") as file:
        file.write("# another revision\n")
    assert find_weights(str(changed)).digest != find_weights(str(model)).digest


def test_code_of_another_repository_must_be_copied(model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    (folder / "configuration_tiny.py").unlink()
    with pytest.raises(BadModel, match=r"copy configuration_tiny\.py into"):
        describe_encoder(find_weights(str(folder)))


@pytest.mark.usefixtures("_trusted")
def test_it_is_indexed_evaluated_and_served_where_it_is_trusted(
    model: Path, tmp_path: Path
) -> None:
    bundle = check_commands(model, tmp_path, "--prompt", "{query}", **TRUSTED)
    shown = tusou("info", str(bundle), TUSOU_TRUST_REMOTE_CODE="")  # it runs no code
    assert "remote, licence cc-by-nc-4.0, which forbids commercial use" in shown.stdout
    pool, words = tmp_path / "MR_test_imgs.tsv", ("--precision", "fp32", "--prompt", "{query}")
    again = tusou(
        *("index", str(pool), "--out", str(bundle), "--model", str(model), "--device", "cpu"),
        *(*words, "--trust-remote-code", "--json"),
        TUSOU_TRUST_REMOTE_CODE="",
    )
    assert json.loads(again.stdout)["encoded"] == 0
    with pytest.raises(InvalidRequest, match="computed by code of its own"):
        _open_untrusted(bundle)


def _open_untrusted(bundle: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(TRUST_VARIABLE)
        open_bundle(bundle, device="cpu")


@pytest.mark.usefixtures("_trusted")
def test_the_models_own_prompt_is_taken_unless_another_is_given(tmp_path: Path) -> None:
    model = save_tiny_remote(tmp_path / "model")
    source = tmp_path / "texts.jsonl"
    source.write_text('{"id": "1", "text": "红色连衣裙"}\n', encoding="utf-8")
    prompts = []
    for number, prompt in enumerate((None, "{query}")):
        spec = BuildSpec(str(source), str(model), prompt=prompt, workers=1, device="cpu")
        build(spec, tmp_path / f"bundle-{number}", NoProgress())
        prompts.append(Bundle.open(tmp_path / f"bundle-{number}").manifest.templates)
    assert prompts == [(f"{PROMPT}{{query}}",), ("{query}",)]


@pytest.mark.usefixtures("_trusted")
def test_it_is_trained_where_it_is_trusted(model: Path, tmp_path: Path) -> None:
    check_training(model, tmp_path, library_of, "softmax", falls=False)
