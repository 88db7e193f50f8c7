"""Tiny random models of other families, made as their libraries save them, without a network."""

import json
from pathlib import Path

# Words and characters of real captions and queries: what the tiny tokenizers know.
CORPUS = [
    "a photo of two dogs running on the grass",
    "A woman in a red dress is standing beside a white car .",
    "two young men are looking at their hands while hanging out in the yard",
    "children play football near the old bridge at night",
    "纯棉碎花吊带裙",
    "红色碎花裙子女夏季新款",
    "两只狗在草地上奔跑",
    "一个穿红色连衣裙的女人站在白色汽车旁边",
    "男士黑色皮鞋真皮商务正装",
    "儿童玩具车遥控越野汽车",
]
# Texts to encode: short and long, of several languages, an empty one, characters outside of the
# tokenizers, and more than any context.
TEXTS = [
    "纯棉碎花吊带裙",
    "a photo of two dogs",
    "Two DOGS, running!",
    "",
    "男士黑色皮鞋",
    "🐶 ñandú",
    "红色 dress 夏季",
    "a woman in a red dress beside a white car " * 40,
]
CONTEXT = 16
SIDE = 32


def save_tiny_siglip(folder: Path, seed: int = 0) -> Path:
    """Save a SigLIP with a SentencePiece tokenizer, and bicubic images."""
    from transformers import SiglipTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    _train_sentencepiece(folder / "spiece.model")
    tokenizer = SiglipTokenizer(
        str(folder / "spiece.model"), model_max_length=CONTEXT, model_input_names=["input_ids"]
    )
    tokenizer.save_pretrained(folder)
    _save_siglip(folder, seed, len(tokenizer), pad_token_id=1, resample=3)
    return folder


def save_tiny_siglip2(folder: Path, seed: int = 0) -> Path:
    """Save a SigLIP 2 with Gemma's tokenizer, and bilinear images."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import GemmaTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *_bytes()]
    trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trained.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    )
    model = json.loads(trained.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = GemmaTokenizer(
        vocab=model["vocab"],
        merges=merges,
        padding_side="right",
        model_input_names=["input_ids"],
        add_bos_token=False,
        add_eos_token=True,
    )
    tokenizer.save_pretrained(folder)
    _save_siglip(folder, seed, len(tokenizer), pad_token_id=0, resample=2)
    return folder


def _save_siglip(folder: Path, seed: int, tokens: int, *, pad_token_id: int, resample: int) -> None:
    import torch
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    torch.manual_seed(seed)
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = {"vocab_size": tokens, "max_position_embeddings": CONTEXT, "pad_token_id": pad_token_id}
    model = SiglipModel(
        SiglipConfig(
            text_config=tower | text,
            vision_config=tower | {"image_size": SIDE, "patch_size": 8},
        )
    )
    spread(model)
    model.save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    SiglipImageProcessorPil(size=size, resample=resample).save_pretrained(folder)
    write_card(folder, "apache-2.0")


def write_card(folder: Path, name: str) -> None:
    """Write the README.md of a hub's model, with its licence."""
    card = f"---\nlicense: {name}\ntags:\n- vision\nwidget:\n- src: cat.png\n---\n\n# Tiny\n"
    (folder / "README.md").write_text(card, encoding="utf-8")


def spread(model: object, scale: float = 0.25) -> None:
    """Enlarge random weights, so that different inputs have clearly different vectors."""
    import torch

    assert isinstance(model, torch.nn.Module)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, scale)


def _train_sentencepiece(path: Path) -> None:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 4),
        model_prefix=str(path.with_suffix("")),
        vocab_size=220,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=-1,
        bos_id=-1,
        unk_id=2,
        eos_id=1,
        unk_piece="<unk>",
        eos_piece="</s>",
        control_symbols=["<ctl>"],
        minloglevel=2,
    )
    path.with_suffix(".vocab").unlink()


def _bytes() -> list[str]:
    return [f"<0x{number:02X}>" for number in range(256)]
