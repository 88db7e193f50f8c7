"""The network of the toy judge: the demo model's image tower, and a small Llama."""

from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from benchmarks.toy_judge.processor import IMAGE, IMAGE_TOKENS, PATCH, SIDE
from tusou.encoders import find_weights
from tusou.encoders.checkpoint import read_weights

_WIDTH, _LAYERS = 128, 3


def make_network(processor: LlavaProcessor, layers: int = _LAYERS) -> LlavaForConditionalGeneration:
    """Return a LLaVA whose image tower is the demo model's, and whose Llama is random."""
    tokenizer = processor.tokenizer
    vision = CLIPVisionConfig(
        hidden_size=_WIDTH, intermediate_size=4 * _WIDTH, num_hidden_layers=4,
        num_attention_heads=2, image_size=SIDE, patch_size=PATCH, projection_dim=_WIDTH,
        hidden_act="quick_gelu",
    )  # fmt: skip
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=_WIDTH, intermediate_size=2 * _WIDTH,
        num_hidden_layers=layers, num_attention_heads=4, max_position_embeddings=1024,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, tie_word_embeddings=True,
    )  # fmt: skip
    network = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision,
            text_config=text,
            image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
            image_seq_length=IMAGE_TOKENS,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
            tie_word_embeddings=True,
        )
    )
    network.model.vision_tower.load_state_dict(_demo_tower(), strict=False)
    network.model.vision_tower.requires_grad_(requires_grad=False)
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    network.generation_config.pad_token_id = tokenizer.pad_token_id
    return network


def _demo_tower() -> dict[str, Tensor]:
    """Return the demo model's image tower by the names of transformers."""
    source = read_weights(find_weights("demo"))
    prefix = "visual."
    tensors = {
        name.partition(prefix)[2]: tensor.float()
        for name, tensor in source.items()
        if prefix in name
    }
    named = {
        "embeddings.class_embedding": tensors["class_embedding"],
        "embeddings.position_embedding.weight": tensors["positional_embedding"],
        "embeddings.patch_embedding.weight": tensors["conv1.weight"],
    }
    norms = {"pre_layrnorm": "ln_pre", "post_layernorm": "ln_post"}
    layers = len([name for name in tensors if name.endswith("ln_1.weight")])
    for layer in range(layers):
        ours, theirs = f"encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        norms |= {f"{ours}.layer_norm1": f"{theirs}.ln_1", f"{ours}.layer_norm2": f"{theirs}.ln_2"}
        norms[f"{ours}.mlp.fc1"] = f"{theirs}.mlp.c_fc"
        norms[f"{ours}.mlp.fc2"] = f"{theirs}.mlp.c_proj"
        norms[f"{ours}.self_attn.out_proj"] = f"{theirs}.attn.out_proj"
        for kind in ("weight", "bias"):
            joined = tensors[f"{theirs}.attn.in_proj_{kind}"]
            for name, part in zip("qkv", joined.chunk(3), strict=True):
                named[f"{ours}.self_attn.{name}_proj.{kind}"] = part
    for name, other in norms.items():
        for kind in ("weight", "bias"):
            named[f"{name}.{kind}"] = tensors[f"{other}.{kind}"]
    return named
