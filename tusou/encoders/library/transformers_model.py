"""Models and tokenizers in the classes of transformers, from local files alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer
from transformers.dynamic_module_utils import get_class_from_dynamic_module
from transformers.utils import logging

from tusou.bundle.model_record import EncoderRecord
from tusou.core.errors import BadModel, MissingDependency
from tusou.encoders.architecture import Tower
from tusou.encoders.base import Weights
from tusou.encoders.families.remote import REMOTE, config_class, model_class
from tusou.encoders.fast_tokenizer import is_one_byte
from tusou.encoders.library.base import BOTH
from tusou.encoders.model_folder import ModelFolder

# The parts of a model that only one of its towers needs begin with these.
_PREFIXES = {"text": ("text",), "image": ("vision", "visual")}


class TransformersModel:
    """A model with `get_text_features` and `get_image_features`."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._text = cast("Callable[..., object]", module.get_text_features)
        self._image = cast("Callable[..., object]", module.get_image_features)

    def encode_text(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return _features(self._text(input_ids=ids))
        return _features(self._text(input_ids=ids, attention_mask=mask))

    def encode_image(self, pixels: Tensor) -> Tensor:
        return _features(self._image(pixel_values=pixels))


class TransformersTokenizer:
    """The tokenizer in a model's folder."""

    def __init__(self, tokenizer: Any, context: int) -> None:
        self._tokenizer, self._context = tokenizer, context
        self.vocab_size: int = len(tokenizer)
        self.pad_id: int = 0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.pads_left: bool = tokenizer.padding_side == "left"
        self.masks_padding: bool = "attention_mask" in tokenizer.model_input_names

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        rows = self._ids(texts)
        truncated = [len(row) > self._context for row in rows]
        for number, long in enumerate(truncated):
            if long:  # start and end stay
                options = {"truncation": True, "max_length": self._context}
                (rows[number],) = self._ids([texts[number]], **options)
        return rows, truncated

    def is_unknown(self, token: int) -> bool:
        piece = str(self._tokenizer.convert_ids_to_tokens(token))
        return token == self._tokenizer.unk_token_id or is_one_byte(piece)

    def _ids(self, texts: Sequence[str], **options: object) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer(list(texts), verbose=False, **options)["input_ids"]
        return ids


def open_model(
    weights: Weights,
    record: EncoderRecord,
    towers: Sequence[Tower],
    dtype: torch.dtype,
    device: torch.device,
) -> TransformersModel:
    """Load a folder's model, and keep the towers that are asked for; BadModel."""
    with loading(weights.name):
        loader, options = _loader(weights, record)
        module, report = loader.from_pretrained(
            weights.path, local_files_only=True, dtype=dtype, output_loading_info=True, **options
        )
        for name in ("get_text_features", "get_image_features"):
            getattr(module, name)
    weights.check_in_place()
    missing = sorted(report["missing_keys"])
    if missing:
        raise BadModel(f"{weights.name} has no tensor {missing[0]!r}: it is damaged or incomplete")
    for tower in BOTH:
        if tower not in towers:
            _drop_tower(module, tower)
    return TransformersModel(module.eval().to(device))


def open_tokenizer(weights: Weights, record: EncoderRecord) -> TransformersTokenizer:
    """Load a folder's tokenizer; BadModel."""
    with loading(weights.name):
        _, options = _loader(weights, record)
        tokenizer = AutoTokenizer.from_pretrained(weights.path, local_files_only=True, **options)
    weights.check_in_place()
    return TransformersTokenizer(tokenizer, record.context_length)


def _loader(weights: Weights, record: EncoderRecord) -> tuple[Any, dict[str, object]]:
    """Return the class that loads a model, and the options for its code, if it has any."""
    if record.family != REMOTE:
        return AutoModel, {"trust_remote_code": False}
    folder = weights.file
    assert isinstance(folder, ModelFolder)
    path = str(folder.path)
    config = get_class_from_dynamic_module(config_class(folder), path, local_files_only=True)
    options = {"config": config.from_pretrained(path), "trust_remote_code": True}
    return get_class_from_dynamic_module(model_class(folder), path, local_files_only=True), options


def _features(output: object) -> Tensor:
    """Return the tensor of an output, which is an object with others since version 5."""
    features = getattr(output, "pooler_output", output)
    assert isinstance(features, Tensor)
    return features


def _drop_tower(module: nn.Module, tower: Tower) -> None:
    for name, _ in list(module.named_children()):
        if name.startswith(_PREFIXES[tower]):
            delattr(module, name)


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Turn what transformers raises for wrong files into BadModel; keep it quiet meanwhile.

    `name` is that of the model in the message.
    """
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except ImportError as error:  # of packages that a model's code needs
        reason = " ".join(str(error).split())
        raise MissingDependency(f"the code of {name} cannot run here: {reason}") from error
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise BadModel(f"transformers cannot load {name}: {reason}") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
