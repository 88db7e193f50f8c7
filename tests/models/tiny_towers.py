"""Tiny random towers, as transformers, sentence-transformers and torchvision save them."""

import json
from pathlib import Path
from typing import Any

from tests.models.tiny import CORPUS, write_card

WIDTH = 32
POSITIONS = 24
SIDE = 32
DIM = 48  # of joined towers


def save_tiny_bert(folder: Path, license: str = "apache-2.0") -> Path:  # noqa: A002 - its name
    """Save a BERT of two layers with a vocabulary of English words and Chinese characters."""
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir(parents=True)
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = sorted({word for text in CORPUS for word in text.lower().split() if word.isascii()})
    characters = map(chr, range(0x4E00, 0x9FA6))  # all of Chinese
    vocabulary = [*marks, *"abcdefghijklmnopqrstuvwxyz.", *words, *characters]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)) + "\n", "utf-8")
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), model_max_length=POSITIONS)
    tokenizer.save_pretrained(folder)
    _save(BertModel, BertConfig(vocab_size=len(tokenizer), **_TEXT), folder)
    write_card(folder, license)
    return folder


def save_tiny_roberta(folder: Path) -> Path:
    """Save an XLM-RoBERTa, whose positions are counted from 2, with a SentencePiece tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    folder.mkdir(parents=True)
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer, trained.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=marks, show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    trained.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained,
        model_max_length=POSITIONS,
        cls_token="<s>",
        sep_token="</s>",
        **dict(zip(names, marks, strict=True)),
    )
    tokenizer.save_pretrained(folder)
    config = _TEXT | {"max_position_embeddings": POSITIONS + 2, "pad_token_id": 1}
    _save(XLMRobertaModel, XLMRobertaConfig(vocab_size=len(tokenizer), **config), folder)
    return folder


def save_tiny_sentences(folder: Path) -> Path:
    """Save what sentence-transformers makes of a MiniLM: a BERT whose tokens are averaged."""
    save_tiny_bert(folder)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
    ]
    modules.append({"idx": 1, "name": "1", "path": "1_Pooling", "type": "…models.Pooling"})
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 16}))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    return folder


def save_tiny_vit(folder: Path) -> Path:
    """Save a ViT, whose images are squashed."""
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    config = ViTConfig(**_LAYERS, image_size=SIDE, patch_size=8)
    _save(ViTModel, config, folder)
    ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    write_card(folder, "mit")
    return folder


def save_tiny_dinov2(folder: Path) -> Path:
    """Save a DINOv2, whose images are cropped."""
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    _save(Dinov2Model, Dinov2Config(**_LAYERS, image_size=SIDE, patch_size=8), folder)
    size = {"shortest_edge": SIDE + 4}
    crop = {"height": SIDE, "width": SIDE}
    BitImageProcessorPil(size=size, crop_size=crop).save_pretrained(folder)
    return folder


def save_tiny_resnet(folder: Path) -> Path:
    """Save a ResNet, with the processor of ConvNeXt as the published ones have it."""
    from transformers import ConvNextImageProcessorPil, ResNetConfig, ResNetModel

    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
    _save(ResNetModel, ResNetConfig(**sizes, layer_type="basic"), folder)
    processor = ConvNextImageProcessorPil(size={"shortest_edge": SIDE}, crop_pct=0.875)
    processor.save_pretrained(folder)
    return folder


def save_torchvision_resnet18(path: Path) -> Path:
    """Save the state dict of torchvision's resnet18, its classifier included."""
    import torch
    from torchvision.models import resnet18

    torch.manual_seed(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(resnet18().state_dict(), path)
    return path


def save_torchvision_vit(path: Path) -> Path:
    """Save a training checkpoint of a small vision transformer of torchvision."""
    import torch
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    model = VisionTransformer(
        image_size=SIDE, patch_size=8, num_layers=2, num_heads=1, hidden_dim=64, mlp_dim=96
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, path)
    return path


_LAYERS: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_TEXT = _LAYERS | {"max_position_embeddings": POSITIONS}


def _save(kind: Any, config: Any, folder: Path) -> None:
    """Save a model whose weights are large enough to tell different inputs apart."""
    import torch

    torch.manual_seed(0)
    model = kind(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "embed" not in name:
                parameter.normal_(0, 0.25)
    model.save_pretrained(folder)


def join(text: Path | str, image: Path, out: Path, **options: Any) -> Path:
    """Join a text and an image tower, by folder or hub id, with new projections."""
    from tusou_lab.convert_model.join_towers import join_towers

    join_towers(str(text), str(image), DIM, out, **options)
    return out
