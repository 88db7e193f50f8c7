"""Our forward passes over cn_clip's weights: no padding, and only what reaches the answer."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tusou.encoders.architecture import IMAGE_EPS, QUICK, TEXT_EPS, ImageShape, TextShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.packing import pack
from tusou.encoders.torch.layers import Activation, Block, Norm, Product, attend, product


@dataclass(frozen=True, slots=True)
class PackedTexts:
    """The tokens of several texts in one row, texts of equal length side by side."""

    ids: Tensor  # (tokens,) int64
    positions: Tensor  # (tokens,) int64, counted within each text
    starts: Tensor  # (texts,) int64, where each text's [CLS] is
    groups: tuple[tuple[int, int], ...]  # (texts, tokens of each), in order; then come the spare
    real: Tensor | None = None  # (tokens,) bool: which are not padding; none when all are real


def pack_texts(ids: npt.NDArray[np.int64], device: torch.device) -> PackedTexts:
    """Pack rows of token ids, padded with 0 and sorted by length, and take them to the device."""
    packed = pack(ids)
    sizes, counts = np.unique(packed.lengths, return_counts=True)
    arrays = packed.ids, packed.positions, packed.starts
    tokens, positions, starts = (torch.from_numpy(array).to(device) for array in arrays)
    groups = tuple(zip(counts.tolist(), sizes.tolist(), strict=True))
    return PackedTexts(tokens, positions, starts, groups)


def pack_padded(ids: Tensor) -> PackedTexts:
    """Take (texts, width) ids for texts of equal length, to compute the padding (0) with them.

    All shapes follow from that of `ids` and nothing waits for the device, so it can be captured in
    a CUDA graph. The vectors are those of `pack_texts`; each text must have a token that is not
    padding.
    """
    texts, width = ids.shape
    return PackedTexts(
        ids.flatten(),
        torch.arange(width, device=ids.device).repeat(texts),
        torch.arange(0, texts * width, width, device=ids.device),
        ((texts, width),),
        ids.flatten() != 0,
    )


class TextTower:
    """Packed texts to features (texts, dim): cn_clip's BERT, its last layer for [CLS] alone."""

    def __init__(self, tensors: TensorReader, shape: TextShape, precision: torch.dtype) -> None:
        width, inner = shape.text_hidden_size, shape.text_intermediate_size
        table = "bert.embeddings."
        self._heads = shape.text_num_attention_heads
        # As stored, mostly float16: a row is widened when it is looked up.
        self._words = tensors.take(f"{table}word_embeddings.weight", shape.vocab_size, width)
        places = tensors.take(
            f"{table}position_embeddings.weight", shape.text_max_position_embeddings, width
        )
        types = tensors.take(
            f"{table}token_type_embeddings.weight", shape.text_type_vocab_size, width
        )
        # On a processor attention over so few tokens is faster, too, in single precision.
        on_cpu = self._words.device.type == "cpu"
        self._attends = torch.float32 if on_cpu else precision
        self._places = places.float() + types[0].float()  # every token is of type 0
        self._norm = _norm(tensors, f"{table}LayerNorm", width, TEXT_EPS)
        self._blocks = [
            _text_block(tensors, f"bert.encoder.layer.{number}", width, inner, precision)
            for number in range(shape.text_num_hidden_layers)
        ]
        projection = tensors.take("text_projection", width, shape.embed_dim)
        self._projection = _product(projection.T, torch.zeros(shape.embed_dim), precision)
        tensors.finish()

    def __call__(self, texts: PackedTexts) -> Tensor:
        """Return float32 features, one row per text in packed order."""
        mask = None if texts.real is None else self._mask(texts.real)
        words = functional.embedding(texts.ids, self._words).float()
        rows = self._norm(words + functional.embedding(texts.positions, self._places))
        for block in self._blocks:
            query, key, value = block.qkv(rows).to(self._attends).chunk(3, dim=1)
            if block is self._blocks[-1]:
                query, rows = query[texts.starts], rows[texts.starts]
            mixed = _attend_in_groups(query, key, value, texts.groups, self._heads, mask)
            rows = block.attention_norm(rows + block.out(mixed))
            rows = block.mlp_norm(rows + block.down(block.up(rows)))
        return self._projection(rows).float()

    def _mask(self, real: Tensor) -> Tensor:
        """Give what is added to the scores of each key: nothing, or what hides it."""
        return torch.zeros_like(real, dtype=self._attends).masked_fill_(~real, -torch.inf)


def _attend_in_groups(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: tuple[tuple[int, int], ...],
    heads: int,
    mask: Tensor | None,
) -> Tensor:
    """Attend within each text; queries are all its tokens', or its [CLS] token's alone.

    A spare token has no text to attend within: what comes back for it is as it went in.
    """
    tokens = [texts * length for texts, length in groups]
    asking = tokens if len(query) == len(key) else [texts for texts, _ in groups]
    parts = zip(
        groups,
        _cut(query, asking),
        _cut(key, tokens),
        _cut(value, tokens),
        [None] * len(tokens) if mask is None else torch.split(mask, tokens),
        strict=True,
    )
    width = query.shape[1]
    mixed = [
        attend(
            q.reshape(texts, -1, width),
            k.reshape(texts, length, width),
            v.reshape(texts, length, width),
            heads,
            None if m is None else m.reshape(texts, 1, 1, length),
        ).flatten(0, 1)
        for (texts, length), q, k, v, m in parts
    ]
    spare = query[sum(asking) :]
    return torch.cat([*mixed, spare]) if len(mixed) > 1 or len(spare) else mixed[0]


def _cut(rows: Tensor, sizes: list[int]) -> tuple[Tensor, ...]:
    return torch.split(rows[: sum(sizes)], sizes)


class ImageTower:
    """Normalised images (n, 3, size, size) to features (n, dim): cn_clip's vision transformer."""

    def __init__(self, tensors: TensorReader, shape: ImageShape, precision: torch.dtype) -> None:
        width, patch = shape.vision_width, shape.vision_patch_size
        assert patch is not None
        assert isinstance(shape.vision_layers, int)
        self._heads, self._patch = width // shape.vision_head_width, patch
        self._grid = shape.image_resolution // patch
        conv = tensors.take("visual.conv1.weight", width, 3, patch, patch)
        self._embed = _product(conv.flatten(1), torch.zeros(width), precision)
        places = tensors.take("visual.positional_embedding", self._grid**2 + 1, width).float()
        first = tensors.take("visual.class_embedding", width).float() + places[0]
        self._first, self._places = first, places[1:]
        self._norm_before = _norm(tensors, "visual.ln_pre", width, IMAGE_EPS)
        self._blocks = [
            _image_block(tensors, f"visual.transformer.resblocks.{number}", width, precision)
            for number in range(shape.vision_layers)
        ]
        self._norm_after = _norm(tensors, "visual.ln_post", width, IMAGE_EPS)
        projection = tensors.take("visual.proj", width, shape.embed_dim)
        self._project = _product(projection.T, torch.zeros(shape.embed_dim), precision)
        tensors.finish()

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 features; the last layer is computed for the class token alone."""
        patches = self._embed(self._cut(images))
        first = self._first.expand(len(images), 1, -1)
        rows = self._norm_before(torch.cat([first, patches + self._places], dim=1))
        for block in self._blocks:
            query, key, value = block.qkv(block.attention_norm(rows)).chunk(3, dim=2)
            if block is self._blocks[-1]:
                query, rows = query[:, :1], rows[:, :1]
            rows = rows + block.out(attend(query, key, value, self._heads))
            rows = rows + block.down(block.up(block.mlp_norm(rows)))
        return self._project(self._norm_after(rows[:, 0])).float()

    def _cut(self, images: Tensor) -> Tensor:
        """Cut images into rows of one patch each, in the order of the convolution's weights."""
        side, patch = self._grid, self._patch
        grid = images.reshape(len(images), 3, side, patch, side, patch)
        return grid.permute(0, 2, 4, 1, 3, 5).reshape(len(images), side * side, -1)


def _text_block(
    tensors: TensorReader, name: str, width: int, inner: int, precision: torch.dtype
) -> Block:
    parts = [
        _linear(tensors, f"{name}.attention.self.{part}", width, width)
        for part in ("query", "key", "value")
    ]
    weights, biases = zip(*parts, strict=True)
    up = _linear(tensors, f"{name}.intermediate.dense", inner, width)
    down = _linear(tensors, f"{name}.output.dense", width, inner)
    out = _linear(tensors, f"{name}.attention.output.dense", width, width)
    return Block(
        qkv=_product(torch.cat(weights), torch.cat(biases), precision),
        out=_product(*out, precision),
        attention_norm=_norm(tensors, f"{name}.attention.output.LayerNorm", width, TEXT_EPS),
        up=_product(*up, precision, "gelu"),
        down=_product(*down, precision),
        mlp_norm=_norm(tensors, f"{name}.output.LayerNorm", width, TEXT_EPS),
    )


def _image_block(tensors: TensorReader, name: str, width: int, precision: torch.dtype) -> Block:
    up, up_bias = _linear(tensors, f"{name}.mlp.c_fc", 4 * width, width)
    down, down_bias = _linear(tensors, f"{name}.mlp.c_proj", width, 4 * width)
    qkv = tensors.take(f"{name}.attn.in_proj_weight", 3 * width, width)
    qkv_bias = tensors.take(f"{name}.attn.in_proj_bias", 3 * width)
    out = _linear(tensors, f"{name}.attn.out_proj", width, width)
    return Block(
        qkv=_product(qkv, qkv_bias, precision),
        out=_product(*out, precision),
        attention_norm=_norm(tensors, f"{name}.ln_1", width, IMAGE_EPS),
        # x * sigmoid(1.702 x) is swish(1.702 x) / 1.702, and both factors go into the weights.
        up=_product(up * QUICK, up_bias * QUICK, precision, "swish"),
        down=_product(down / QUICK, down_bias, precision),
        mlp_norm=_norm(tensors, f"{name}.ln_2", width, IMAGE_EPS),
    )


def _linear(tensors: TensorReader, name: str, out: int, width: int) -> tuple[Tensor, Tensor]:
    weight, bias = tensors.take(f"{name}.weight", out, width), tensors.take(f"{name}.bias", out)
    return weight.float(), bias.float()


def _norm(tensors: TensorReader, name: str, width: int, eps: float) -> Norm:
    weight, bias = tensors.take(f"{name}.weight", width), tensors.take(f"{name}.bias", width)
    return Norm(weight.float(), bias.float(), eps)


def _product(
    weight: Tensor, bias: Tensor, precision: torch.dtype, activation: Activation = "none"
) -> Product:
    bias = bias.to(weight.device, precision)
    return product(weight.to(precision).contiguous(), bias, activation)
