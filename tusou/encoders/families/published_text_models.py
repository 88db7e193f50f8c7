"""Configurations of the text models that open_clip's architectures name.

Their folders hold the weights and a tokenizer, and open_clip would download the configuration.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tusou.core.errors import BadModel

_ROBERTA: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "hidden_act": "gelu",
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
_XLM_ROBERTA = _ROBERTA | {"model_type": "xlm-roberta", "vocab_size": 250_002}
# Their decoders are not used: with a layer each, they are soon thrown away.
_NLLB: dict[str, Any] = {
    "model_type": "m2m_100",
    "vocab_size": 256_206,
    "d_model": 1024,
    "encoder_layers": 12,
    "decoder_layers": 1,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "max_position_embeddings": 1024,
    "activation_function": "relu",
    "scale_embedding": True,
    "is_encoder_decoder": True,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
_MT5: dict[str, Any] = {
    "model_type": "mt5",
    "vocab_size": 250_112,
    "d_model": 768,
    "d_kv": 64,
    "d_ff": 2048,
    "num_layers": 12,
    "num_decoder_layers": 1,
    "num_heads": 12,
    "relative_attention_num_buckets": 32,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "gated-gelu",
    "is_encoder_decoder": True,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "eos_token_id": 1,
}
_LARGE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
}
_PUBLISHED: Mapping[str, dict[str, Any]] = {
    "roberta-base": _ROBERTA | {"model_type": "roberta", "vocab_size": 50_265},
    "xlm-roberta-base": _XLM_ROBERTA,
    "xlm-roberta-large": _XLM_ROBERTA | _LARGE,
    "facebook/nllb-200-distilled-600M": _NLLB,
    "facebook/nllb-200-distilled-1.3B": _NLLB | {"encoder_layers": 24, "encoder_ffn_dim": 8192},
    "google/mt5-base": _MT5,
    "google/mt5-xl": _MT5 | {"d_model": 2048, "d_ff": 5120, "num_layers": 24, "num_heads": 32},
}


def published_text_config(name: str, path: Path) -> dict[str, Any]:
    """Return the configuration that a text model was published with; BadModel for another one.

    `path` is where the file of another one belongs.
    """
    # The old names of the FacebookAI organisation have no owner.
    published = _PUBLISHED.get(name.removeprefix("FacebookAI/"))
    if published is None:
        raise BadModel(f"the text tower is a {name!r}: copy its {path.name} to {path}")
    return dict(published)
