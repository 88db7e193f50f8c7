"""Identifies checkpoints without a supported model by the names of their tensors."""

import re
from collections.abc import Iterable

# A typical tensor of each kind, its name without wrapper prefixes, and what the file is.
_KINDS = (
    (r".*lora_(A|B|up|down)\b.*", "an adapter (LoRA), not a model: merge it into its base model"),
    (
        r"(diffusion_model|first_stage_model|cond_stage_model|down_blocks)\..*",
        "a diffusion model, which draws images",
    ),
    (
        r"(text_model|vision_model)\..*|visual_projection\.weight",
        "the tensors of a transformers folder: give the folder, with its config.json",
    ),
    (
        r"(layers|h|transformer\.h|language_model)\.\d*.*(self_attn|attn|mlp)\..*",
        "a language model",
    ),
    (
        r"(roberta\.|electra\.|)(embeddings\.word_embeddings|encoder\.layer\.\d+)\..*",
        "a text tower alone: put it together with an image tower",
    ),
    (
        r"(blocks\.\d+\.attn\.qkv|patch_embed\.proj|cls_token|vit\.embeddings)\b.*",
        "an image tower alone: put it together with a text tower",
    ),
    (r"layer[1-4]\.\d+\.(conv|bn)\d\..*", "a ResNet alone: put it together with a text tower"),
    (
        r"(token_embedding\.weight|transformer\.resblocks\..*)",
        "a model of OpenAI's CLIP or of open_clip",
    ),
)


def describe_tensors(names: Iterable[str]) -> str | None:
    """Return what a checkpoint holds, as `a language model`; None if its names say nothing."""
    listed = list(names)
    for pattern, sentence in _KINDS:
        if any(re.match(pattern, name) for name in listed):
            return sentence
    return None
