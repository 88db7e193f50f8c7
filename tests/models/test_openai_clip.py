"""OpenAI's archives of CLIP by Tusou's own towers, beside open_clip, which loads them itself."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models.family_checks import LibraryVectors, check_invariance, check_parity
from tusou.core.errors import BadModel
from tusou.encoders import find_weights, load_text_encoder, resolve_encoder
from tusou.encoders.script_archive import read_arrays

pytestmark = [
    pytest.mark.models,
    pytest.mark.filterwarnings("ignore:.torch.jit.:DeprecationWarning"),  # OpenAI's own format
]

CONTEXT = 40  # OpenAI's vocabulary has no words of the Chinese texts
_VISION = {"image_size": 64, "layers": 2, "width": 128, "patch_size": 16}
_TEXT = {"context_length": CONTEXT, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}


def build(folder: Path) -> Any:
    """Build the architecture of ViT-B-32 as open_clip has OpenAI's, with few and random weights."""
    import open_clip
    import torch

    config = {"embed_dim": 48, "quick_gelu": True, "vision_cfg": _VISION, "text_cfg": _TEXT}
    (folder / "Tiny-B-32-quickgelu.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "Tiny-B-32-quickgelu.json")
    torch.manual_seed(3)
    model = open_clip.create_model("Tiny-B-32-quickgelu", pretrained=None).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
            elif "ln_" in name or name.endswith("bias"):
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module", params=["archive", "state-dict"])
def model(request: pytest.FixtureRequest, library: Any, tmp_path_factory: Any) -> Path:
    """Save the model as OpenAI publishes it: as an archive, and as its state dict."""
    import torch

    path: Path = tmp_path_factory.mktemp(request.param) / "ViT-Tiny-32.pt"
    if request.param == "state-dict":
        state = library.state_dict()
        numbers = {"input_resolution": 64, "context_length": CONTEXT, "vocab_size": 49408}
        torch.save(state | {k: torch.tensor(v) for k, v in numbers.items()}, path)
        return path
    example = torch.zeros(1, 3, 64, 64), torch.full((1, CONTEXT), 49407)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, and warns of what it records
        torch.jit.save(torch.jit.trace(library, example, check_trace=False), path)
    return path


def library_of(module: Any) -> LibraryVectors:
    """Return the vectors of open_clip, with its own tokenizer and transform."""
    import torch
    from open_clip.tokenizer import SimpleTokenizer
    from open_clip.transform import PreprocessCfg, image_transform_v2

    tokenizer = SimpleTokenizer(context_length=CONTEXT)
    transform = image_transform_v2(PreprocessCfg(size=64), is_train=False)

    def texts(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            return module.encode_text(tokenizer(list(texts))).numpy()

    def images(images: Sequence[Image.Image]) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            return module.encode_image(torch.stack([transform(each) for each in images])).numpy()

    return LibraryVectors(texts, images)


def test_vectors_are_those_of_open_clip(model: Path, library: Any) -> None:
    check_parity(model, library_of(library))


def test_a_vector_does_not_depend_on_its_batch(model: Path) -> None:
    check_invariance(model)


def test_the_record_is_openais(model: Path) -> None:
    record = resolve_encoder(find_weights(str(model)), "text", "cpu").record
    assert record is not None
    assert (record.family, record.context_length) == ("clip", CONTEXT)
    assert (record.transform.side, record.transform.fit) == (64, "crop")
    assert record.logit_scale == pytest.approx(1 / 0.07, rel=1e-3)


def test_the_tensors_are_those_of_the_state_dict(model: Path, library: Any) -> None:
    arrays, state = read_arrays(model), library.state_dict()
    assert state.keys() <= arrays.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(arrays[name].read(), tensor.numpy())


def test_refuses_a_checkpoint_that_does_not_say_its_activation(
    library: Any, tmp_path: Path
) -> None:
    import torch

    torch.save({"epoch": 3, "state_dict": library.state_dict()}, tmp_path / "epoch_3.pt")
    with pytest.raises(BadModel, match=r"which gelu .* open_clip:ViT-B-32-quickgelu@epoch_3\.pt"):
        load_text_encoder(find_weights(str(tmp_path / "epoch_3.pt")), "cpu")


def test_refuses_an_archive_of_another_kind(tmp_path: Path) -> None:
    import torch

    torch.jit.save(torch.jit.script(torch.nn.Linear(3, 4)), tmp_path / "linear.pt")
    with pytest.raises(BadModel, match=r"no tensor 'token_embedding"):
        load_text_encoder(find_weights(str(tmp_path / "linear.pt")), "cpu")
