"""Models and tokenizers in the classes of open_clip, from local files alone."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import open_clip
import torch
from open_clip.coca_model import CoCa
from open_clip.factory import load_checkpoint
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from torch import Tensor, nn
from torch.nn.functional import pad

from tusou.bundle.model_record import EncoderRecord
from tusou.core.errors import BadModel
from tusou.encoders.architecture import Tower
from tusou.encoders.base import Weights
from tusou.encoders.families.open_clip_config import OpenClipConfig, read_config
from tusou.encoders.fast_tokenizer import is_fragment
from tusou.encoders.library.transformers_model import TransformersTokenizer

_CLASSES = {"CLIP": open_clip.CLIP, "CustomTextCLIP": open_clip.CustomTextCLIP, "CoCa": CoCa}
_PARTS: dict[Tower, tuple[str, ...]] = {
    "image": ("visual",),
    "text": (
        "text",
        "text_decoder",
        "transformer",
        "token_embedding",
        "positional_embedding",
        "ln_final",
        "text_projection",
    ),
}
_MARKS = 2  # start and end
_CLIPS_MARKS = 3  # start, end, and the class at the end of the row
# Older versions of transformers saved the positions of NLLB, which are computed.
_COMPUTED = {"text.transformer.embed_positions.weights"}


class OpenClipModule:
    """A model with `encode_text` and `encode_image`."""

    def __init__(self, module: nn.Module, context: int | None) -> None:
        """Take a model, and the length that its text tower's rows must have, if any."""
        self.module, self._context = module, context
        self._text = cast("Callable[[Tensor], Tensor]", module.encode_text)
        self._image = cast("Callable[[Tensor], Tensor]", module.encode_image)

    def encode_text(self, ids: Tensor, _: Tensor | None) -> Tensor:
        if self._context is not None:
            ids = pad(ids, (0, self._context - ids.shape[1]), value=0)
        return self._text(ids)  # it finds the padding by its id, where that matters

    def encode_image(self, pixels: Tensor) -> Tensor:
        return self._image(pixels)


class OpenClipTokenizer:
    """A tokenizer with the clean-up of texts that open_clip does first."""

    pads_left, masks_padding = False, False

    def __init__(
        self,
        tokenize: Callable[[list[str], int], Tensor],
        count: Callable[[list[str]], list[int]],
        context: int,
        vocab_size: int,
        pad_id: int,
        is_unknown: Callable[[int], bool],
    ) -> None:
        """`count` returns the tokens that texts have before they are cut, marks included."""
        self._tokenize, self._count, self._context = tokenize, count, context
        self.vocab_size, self.pad_id, self.is_unknown = vocab_size, pad_id, is_unknown

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        if not texts:
            return [], []
        rows = [self._strip(row) for row in self._tokenize(list(texts), self._context).tolist()]
        # The rows do not tell: padding may be the mark at the end of a text too, or a token in it.
        return rows, [count > self._context for count in self._count(list(texts))]

    def _strip(self, row: list[int]) -> list[int]:
        """Remove the padding at the end; some tokenizers put it before their last token."""
        end = len(row)
        while end and row[end - 1] == self.pad_id:
            end -= 1
        return row[:end]


def open_model(
    weights: Weights,
    _: EncoderRecord,
    towers: Sequence[Tower],
    dtype: torch.dtype,
    device: torch.device,
) -> OpenClipModule:
    """Load a model, and keep the towers that are asked for; BadModel, MissingDependency."""
    config = read_config(weights)
    config.check_image_tower()
    with _loading(weights):
        module = build_module(config)
        report = load_checkpoint(module, str(config.checkpoint.path), strict=False)
    weights.check_in_place()
    _check_complete(weights, report)
    for tower, parts in _PARTS.items():
        if tower not in towers:
            _drop(module, parts)
    # open_clip's own text towers add the positions of the whole context.
    context = None if config.text_model else config.context
    return OpenClipModule(module.eval().to(device=device, dtype=dtype), context)


def build_module(config: OpenClipConfig) -> nn.Module:
    """Return a model with random weights, without downloading anything."""
    settings = deepcopy(dict(config.model))
    settings.pop("custom_text", None)
    build = cast("Callable[..., nn.Module]", _CLASSES[config.library_class])
    with TemporaryDirectory() as folder:
        if config.text_model is not None:
            text = config.read_text_model()
            Path(folder, "config.json").write_text(json.dumps(text), encoding="utf-8")
            settings["text_cfg"] |= {"hf_model_name": folder, "hf_model_pretrained": False}
        return build(**settings)


def open_tokenizer(weights: Weights, _: EncoderRecord) -> OpenClipTokenizer:
    """Load the tokenizer of a model, from its folder if it is one of transformers; BadModel."""
    config = read_config(weights)
    options = dict(config.text.get("tokenizer_kwargs") or {})
    options.pop("reduction_mask", None)  # of training: it leaves out tokens at random
    if not config.has_library_tokenizer:
        simple = SimpleTokenizer(context_length=config.context, **options)
        pieces = simple.decoder

        def count(texts: list[str]) -> list[int]:
            return [len(simple.encode(text)) + _MARKS for text in texts]

        return OpenClipTokenizer(
            simple,
            count,
            config.context,
            simple.vocab_size,
            0,
            lambda token: is_fragment(pieces[token]),
        )
    with _loading(weights):
        tokenizer = HFTokenizer(
            str(config.folder),
            context_length=config.context,
            tokenizer_mode=config.text.get("tokenizer_mode"),
            local_files_only=True,
            **options,
        )
    weights.check_in_place()
    inner = TransformersTokenizer(tokenizer.tokenizer, config.context)
    return OpenClipTokenizer(
        tokenizer,
        lambda texts: _count(tokenizer, texts),
        config.context,
        inner.vocab_size,
        inner.pad_id,
        inner.is_unknown,
    )


def _count(tokenizer: HFTokenizer, texts: list[str]) -> list[int]:
    """Return how many tokens each text has before it is cut, marks included."""
    clean = [tokenizer.clean_fn(text) for text in texts]
    has_own_marks = tokenizer.tokenizer_mode == "clips"
    rows = tokenizer.tokenizer(clean, add_special_tokens=not has_own_marks, verbose=False)
    return [len(row) + has_own_marks * _CLIPS_MARKS for row in rows["input_ids"]]


def _check_complete(weights: Weights, report: Any) -> None:
    """Raise BadModel unless every tensor of the model was in the file, and no other."""
    unexpected = set(report.unexpected_keys) - _COMPUTED
    for fault, names in (("has no", report.missing_keys), ("has an unexpected", unexpected)):
        if names:
            raise BadModel(
                f"{weights.name} {fault} tensor {min(names)!r}: it is not of this architecture, "
                "or it is damaged"
            )


def _drop(module: nn.Module, parts: Sequence[str]) -> None:
    held: Mapping[str, object] = {**module._modules, **module._parameters}  # noqa: SLF001
    for name in parts:
        if held.get(name) is not None:
            delattr(module, name)


@contextmanager
def _loading(weights: Weights) -> Iterator[None]:
    """Turn what open_clip raises for wrong files into BadModel."""
    try:
        yield
    except BadModel:
        raise
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
        AttributeError,
        AssertionError,
    ) as error:
        reason = str(error).partition("\n")[0]
        raise BadModel(f"open_clip cannot load {weights.name}: {reason}") from error
