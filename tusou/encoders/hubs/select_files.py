"""Selects the files of a hub's model that are needed to run it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tusou.encoders.hubs.base import HubError
from tusou.encoders.model_folder import CONFIG, OPEN_CLIP_CONFIG

# The form of a model to download: as its library stores it, or the checkpoint of open_clip.
Form: TypeAlias = Literal["model", "open_clip"]

# Configuration, tokenizer, preprocessing, the licence, code of the model's own, and how
# sentence-transformers makes a vector of its tokens.
_BESIDE = re.compile(
    r"(open_clip_|text_|vision_|tokenizer_|preprocessor_|processor_)?config\.json"
    r"|(preprocessor|configuration|special_tokens_map|added_tokens|tokenizer|vocab)\.json"
    r"|modules\.json|sentence_bert_config\.json|config_sentence_transformers\.json"
    r"|\d+_Pooling/config\.json"
    r"|vocab\.txt|merges\.txt|[\w.-]+\.model|[\w.-]+\.py|README\.md|(LICEN[SC]E|NOTICE|COPYING)[\w.-]*",
    re.ASCII,
)
# The tensors as transformers stores them, the better first: whole, or in parts beside an index.
_TENSORS = (
    re.compile(r"model\.safetensors"),
    re.compile(r"model-\d+-of-\d+\.safetensors|model\.safetensors\.index\.json"),
    re.compile(r"pytorch_model\.bin"),
    re.compile(r"pytorch_model-\d+-of-\d+\.bin|pytorch_model\.bin\.index\.json"),
)
# A folder of open_clip, with its configuration; beside a name of open_clip any checkpoint does.
_OPEN_CLIP_FOLDER = (
    re.compile(r"open_clip_model\.safetensors"),
    re.compile(r"open_clip_pytorch_model\.bin"),
)
_OPEN_CLIP = (*_OPEN_CLIP_FOLDER, re.compile(r"[\w.-]+\.pt"))
# Checkpoints of cn_clip, and of ModelScope's own models.
_CHECKPOINTS = (
    re.compile(r"clip_cn_[\w.-]+\.pt"),
    re.compile(r"[\w.-]+\.pt"),
    re.compile(r"pytorch_model\.bin"),
)


@dataclass(frozen=True, slots=True)
class SelectedFiles:
    """The files of a model that are needed."""

    names: tuple[str, ...]  # those of tensors last
    checkpoint: str | None  # the one that is the model; None: the folder of all is


def select_files(names: Sequence[str], form: Form) -> SelectedFiles:
    """Select among the files of a model; HubError if none holds tensors that Tusou reads."""
    beside = tuple(name for name in names if _BESIDE.fullmatch(name))
    if form == "model" and CONFIG in names:
        for kind in _TENSORS:
            if tensors := _matching(names, kind):
                return SelectedFiles(beside + tensors, None)
    if form == "model" and OPEN_CLIP_CONFIG in names:
        for kind in _OPEN_CLIP_FOLDER:
            if tensors := _matching(names, kind):
                return SelectedFiles(beside + tensors, None)
    for kind in _OPEN_CLIP if form == "open_clip" else _CHECKPOINTS:
        if tensors := _matching(names, kind):
            if len(tensors) > 1:
                raise HubError(f"it has several checkpoints ({', '.join(tensors)}): download one")
            return SelectedFiles(beside + tensors, tensors[0])
    raise HubError("the model has no tensors in a form that Tusou reads (.safetensors, .bin, .pt)")


def _matching(names: Iterable[str], kind: re.Pattern[str]) -> tuple[str, ...]:
    return tuple(name for name in names if kind.fullmatch(name))
