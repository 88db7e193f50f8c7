"""Names what a checkpoint is that is no model of ours, by the names of its tensors."""

import re
from collections.abc import Iterable

# A tensor of each kind, and what a file with it is; names have lost the prefixes of wrappers.
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
