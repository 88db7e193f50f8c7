"""A model in the classes of its library: transformers, or open_clip."""

from collections.abc import Callable, Sequence
from functools import partial
from math import exp, log
from pathlib import Path
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from tusou.bundle.model_record import EncoderRecord
from tusou.core.lazy_import import LazyImport
from tusou.encoders.base import Tokens, Weights
from tusou.encoders.families.dual_encoder import PROJECTIONS, untrained_note
from tusou.encoders.library.base import open_library_model
from tusou.encoders.library.tokenizer import LibraryTextTokenizer
from tusou_lab.train.files import replace_model_folder
from tusou_lab.train.models.base import Part, Traits
from tusou_lab.train.models.folder import is_half

_MAX_LOG_SCALE = log(100)  # of CLIP, and of open_clip's own training
# Projections into the common space, by the names of either library.
_HEAD = (
    "logit_scale",
    "logit_bias",
    "visual_projection",
    "text_projection",
    "text_model.head",
    "visual.proj",
    "visual.head",
    "visual.attnpool.c_proj",
    "text.proj",
    "text.text_projection",
)
# The random parameters of a model that was put together of two towers.
_FRESH = frozenset({*PROJECTIONS, "logit_scale"})

# Writes a network into an empty folder, with what else is in the folder or beside the checkpoint.
WriteModel: TypeAlias = Callable[[Weights, nn.Module, Path], None]

_WRITERS = {
    "transformers": LazyImport("tusou_lab.train.models.transformers_folder:write_transformers"),
    "open_clip": LazyImport("tusou_lab.train.models.open_clip_folder:write_open_clip"),
}


class LibraryTrainable:
    """A model that its library computes; it is saved as a folder, as the library does."""

    def __init__(self, weights: Weights, record: EncoderRecord) -> None:
        self._weights, self._record = weights, record
        self._model = open_library_model(weights, record)
        self._tokenizer = LibraryTextTokenizer(weights, record)
        self.network = self._model.module
        parameters = dict(self.network.named_parameters())
        self._scale: nn.Parameter | None = parameters.get("logit_scale")
        self._bias: nn.Parameter | None = parameters.get("logit_bias")
        self.traits = Traits(
            weights.digest,
            record.transform.as_transform,
            # Only a model for the sigmoid loss has a bias.
            loss="softmax" if self._bias is None else "sigmoid",
            saved_as="folder",
            has_vit=not any(isinstance(part, nn.BatchNorm2d) for part in self.network.modules()),
            fresh=_FRESH if untrained_note(weights) else frozenset(),
            half=frozenset(self.network.state_dict() if _is_saved_in_half(weights, record) else ()),
        )
        self._limit = _MAX_LOG_SCALE
        if self._scale is not None:
            self._limit = max(self._limit, float(self._scale.detach()))
        self._mean, self._std = (
            torch.tensor(values).view(3, 1, 1) for values in (record.mean, record.std)
        )

    @property
    def scale(self) -> float:
        return 1.0 if self._scale is None else float(self._scale.detach().exp())

    @property
    def largest_scale(self) -> float | None:
        return exp(self._limit) if self._scale is not None and self._bias is None else None

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        return self._tokenizer.prepare(texts)

    def encode_images(self, pixels: Tensor, mask: float = 0.0) -> Tensor:
        assert not mask
        mean, std = self._mean.to(pixels.device), self._std.to(pixels.device)
        images = pixels.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)
        return self._model.encode_image(images.contiguous())

    def encode_texts(self, tokens: Tensor) -> Tensor:
        ids, mask = self._tokenizer.pad(tokens.cpu().numpy())
        present = None if mask is None else torch.from_numpy(mask).to(tokens.device)
        return self._model.encode_text(torch.from_numpy(ids).to(tokens.device), present)

    def scale_and_bias(self) -> tuple[Tensor, Tensor | None]:
        if self._scale is None:
            return torch.ones((), device=next(self.network.parameters()).device), self._bias
        return self._scale.exp(), self._bias

    def part_of(self, name: str) -> Part:
        if name.startswith(_HEAD):
            return "head"
        return "vision" if name.startswith(("vision", "visual")) else "text"

    def limit_scale(self) -> None:
        if self._scale is not None and self._bias is None:
            with torch.no_grad():
                self._scale.clamp_(0, self._limit)

    def save(self, path: Path, _epoch: int, _step: int) -> None:
        write = cast("WriteModel", _WRITERS[self._record.library].load())
        replace_model_folder(path, partial(write, self._weights, self.network))


def _is_saved_in_half(weights: Weights, record: EncoderRecord) -> bool:
    return record.library == "transformers" and is_half(weights.path)
