"""Names of Chinese-CLIP's tensors in transformers, and those of cn_clip for the same tensors.

transformers keeps the queries, keys and values of an image layer apart, and projections as
(out, in); cn_clip joins the former and keeps the latter as (in, out).
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import TypeVar

from tusou.core.errors import BadModel
from tusou.encoders.forms.checkpoint_names import plain_names
from tusou.encoders.forms.layouts import Layouts

T = TypeVar("T")

# transformers -> cn_clip. Parts of names, each tried in order at the start of what is left.
_FIXED = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "logit_scale": "logit_scale",
}
_TRANSPOSED = {
    "visual_projection.weight": "visual.proj",
    "text_projection.weight": "text_projection",
}
_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_TEXT, _BERT = "text_model.", "bert."
_CN_CLIP = (_BERT, "visual.")
_IN_LAYER = re.compile(r"vision_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_IN_BLOCK = re.compile(r"visual\.transformer\.resblocks\.(\d+)\.(.+)[._](weight|bias)")
_QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_JOINED = "attn.in_proj"
# Not read for a vector: the pooler, and numbers 0, 1, 2... that older versions stored.
_UNUSED = re.compile(r"text_model\.pooler\..*|.*\.(position_ids|token_type_ids)|bert\.pooler\..*")

_CN_FIXED = {ours: theirs for theirs, ours in _FIXED.items()}
_CN_TRANSPOSED = {ours: theirs for theirs, ours in _TRANSPOSED.items()}
_CN_LAYER = {ours: theirs for theirs, ours in _LAYER.items()}


def cn_clip_names(tensors: Mapping[str, T], layouts: Layouts[T]) -> dict[str, T]:
    """Return the tensors of a folder by cn_clip's names; BadModel for one that has none.

    They are transformers' or, in a folder of ModelScope's own, cn_clip's.
    """
    named = plain_names(tensors, layouts)
    return named if any(name.startswith(_CN_CLIP) for name in named) else to_cn_clip(named, layouts)


def to_cn_clip(tensors: Mapping[str, T], layouts: Layouts[T]) -> dict[str, T]:
    """Return a model's tensors by cn_clip's names; BadModel for one that has none."""
    named: dict[str, T] = {}
    apart: dict[str, dict[str, T]] = defaultdict(dict)  # of queries, keys and values
    for name, tensor in tensors.items():
        if _UNUSED.fullmatch(name):
            continue
        if name in _TRANSPOSED:
            named[_TRANSPOSED[name]] = layouts.transpose(tensor)
        elif match := _IN_LAYER.fullmatch(name):
            layer, part, kind = match.groups()
            block = f"visual.transformer.resblocks.{layer}"
            if part in _QKV:
                apart[f"{block}.{_JOINED}_{kind}"][part] = tensor
            else:
                named[f"{block}.{_lookup(_LAYER, part, name)}.{kind}"] = tensor
        elif name.startswith(_TEXT):
            named[_BERT + name.removeprefix(_TEXT)] = tensor
        else:
            named[_lookup(_FIXED, name, name)] = tensor
    for name, parts in apart.items():
        if len(parts) < len(_QKV):
            missing = next(part for part in _QKV if part not in parts)
            raise BadModel(f"incomplete Chinese-CLIP: a layer of the image tower has no {missing}")
        named[name] = layouts.join([parts[part] for part in _QKV])
    return named


def to_transformers(tensors: Mapping[str, T], layouts: Layouts[T]) -> dict[str, T]:
    """Return a model's tensors by transformers' names; BadModel for one that has none."""
    named: dict[str, T] = {}
    for name, tensor in tensors.items():
        if _UNUSED.fullmatch(name):
            continue
        if name in _CN_TRANSPOSED:
            named[_CN_TRANSPOSED[name]] = layouts.transpose(tensor)
        elif match := _IN_BLOCK.fullmatch(name):
            block, part, kind = match.groups()
            layer = f"vision_model.encoder.layers.{block}"
            if part == _JOINED:
                parts = zip(_QKV, layouts.split(tensor), strict=True)
                named |= {f"{layer}.{each}.{kind}": rows for each, rows in parts}
            else:
                named[f"{layer}.{_lookup(_CN_LAYER, part, name)}.{kind}"] = tensor
        elif name.startswith(_BERT):
            named[_TEXT + name.removeprefix(_BERT)] = tensor
        else:
            named[_lookup(_CN_FIXED, name, name)] = tensor
    return named


def _lookup(names: Mapping[str, str], part: str, name: str) -> str:
    try:
        return names[part]
    except KeyError:
        raise BadModel(f"not a Chinese-CLIP model: it has an unexpected tensor {name!r}") from None
