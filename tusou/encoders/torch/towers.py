"""Forward passes of the towers, without padding and without unused rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tusou.encoders.architecture import ImageShape, TextShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.packing import pack
from tusou.encoders.torch.layers import (
    Activation,
    Block,
    LayerNorm,
    LinearLayer,
    attend,
    linear_layer,
)
from tusou.encoders.tower_weights import (
    BlockWeights,
    TextHead,
    read_image_block,
    read_image_embeddings,
    read_text_block,
    read_text_embeddings,
    read_text_head,
)


@dataclass(frozen=True, slots=True)
class PackedTexts:
    """The tokens of several texts in one row on the device, sorted by the texts' length."""

    ids: Tensor  # (tokens,) int64
    positions: Tensor  # (tokens,) int64, counted within each text
    starts: Tensor  # (texts,) int64, index of each text's [CLS]
    groups: tuple[tuple[int, int], ...]  # (texts, tokens of each) in order, then filler tokens
    real: Tensor | None = None  # (tokens,) bool, False for padding; None: there is no padding

    def ends(self) -> Tensor:
        """Return the index of each text's last token, (texts,)."""
        if self.real is not None:
            texts, width = self.groups[0]
            index = torch.arange(width, device=self.real.device)
            return self.starts + (self.real.view(texts, width) * index).amax(1)
        total = sum(texts * length for texts, length in self.groups)
        return functional.pad(self.starts[1:], (0, 1), value=total) - 1


def pack_texts(ids: npt.NDArray[np.int64], device: torch.device) -> PackedTexts:
    """Pack rows of token ids, padded with 0 and sorted by length, and copy them to the device."""
    packed = pack(ids)
    sizes, counts = np.unique(packed.lengths, return_counts=True)
    arrays = packed.ids, packed.positions, packed.starts
    tokens, positions, starts = (torch.from_numpy(array).to(device) for array in arrays)
    groups = tuple(zip(counts.tolist(), sizes.tolist(), strict=True))
    return PackedTexts(tokens, positions, starts, groups)


def pack_padded(ids: Tensor) -> PackedTexts:
    """Treat (texts, width) ids as texts of equal length, whose padding (0) is masked.

    All shapes follow from that of `ids` and nothing waits for the device, so that a CUDA graph can
    capture it. The tower gives the vectors of `pack_texts`. Each text needs a token that is not
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
    """Packed texts to features (texts, dim).

    The last layer is computed for the tokens that the features are made of alone.
    """

    def __init__(self, tensors: TensorReader, shape: TextShape, precision: torch.dtype) -> None:
        self._words, self._positions, norm = read_text_embeddings(tensors, shape)
        self._norm = LayerNorm(*norm, shape.eps) if norm else None
        self._heads, self._pooling = shape.text_num_attention_heads, shape.pooling
        self._is_clip = shape.layout == "clip"
        # On a processor attention over a few tokens is faster in float32.
        on_cpu = self._words.device.type == "cpu"
        self._attention_dtype = torch.float32 if on_cpu else precision
        self._blocks = [
            _block(read_text_block(tensors, shape, layer), shape.eps, precision)
            for layer in range(shape.text_num_hidden_layers)
        ]
        head = read_text_head(tensors, shape)
        self._final_norm = LayerNorm(*head.norm, shape.eps) if head.norm else None
        self._projection = _projection(head, precision)
        tensors.finish()

    def __call__(self, texts: PackedTexts) -> Tensor:
        """Return float32 features, one row per text in packed order."""
        rows = self.tokens(texts)
        if self._pooling == "mean":
            rows = _means(self._run(self._blocks[-1], rows, texts), texts)
        else:
            selected = texts.starts if self._pooling == "first" else texts.ends()
            rows = self._run(self._blocks[-1], rows, texts, selected)
        if self._final_norm:
            rows = self._final_norm(rows)
        return self._projection(rows).float()

    def tokens(self, texts: PackedTexts) -> Tensor:
        """Return what the last layer takes: float32 (tokens, width) in packed order."""
        words = functional.embedding(texts.ids, self._words).float()
        rows = words + functional.embedding(texts.positions, self._positions)
        rows = self._norm(rows) if self._norm else rows
        for block in self._blocks[:-1]:
            rows = self._run(block, rows, texts)
        return rows

    def _run(
        self, block: Block, rows: Tensor, texts: PackedTexts, selected: Tensor | None = None
    ) -> Tensor:
        """Compute a layer for all rows, or for the selected ones alone."""
        normed = block.attention_norm(rows) if self._is_clip else rows
        query, key, value = block.qkv(normed).to(self._attention_dtype).chunk(3, dim=1)
        # A selected token is a text's last wherever tokens see only what stands before them. To the
        # tokens before it, the padding is the future.
        causal = self._is_clip and selected is None
        mask = None if causal or texts.real is None else self._mask(texts.real)
        if selected is not None:
            query, rows = query[selected], rows[selected]
        mixed = _attend_in_groups(query, key, value, texts.groups, self._heads, mask, causal=causal)
        rows = rows + block.out(mixed)
        if self._is_clip:
            return rows + block.down(block.up(block.mlp_norm(rows)))
        rows = block.attention_norm(rows)
        return block.mlp_norm(rows + block.down(block.up(rows)))

    def _mask(self, real: Tensor) -> Tensor:
        """Return what is added to the scores of each key: 0, or minus infinity for padding."""
        return torch.zeros_like(real, dtype=self._attention_dtype).masked_fill_(~real, -torch.inf)


def _attend_in_groups(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: tuple[tuple[int, int], ...],
    heads: int,
    mask: Tensor | None,
    *,
    causal: bool,
) -> Tensor:
    """Attend within each text; queries belong to all its tokens, or to one of them alone.

    Filler tokens, which belong to no text, are returned unchanged.
    """
    width = query.shape[1]
    mixed = []
    first_key = first_query = 0
    for texts, length in groups:
        keys = slice(first_key, first_key + texts * length)
        queries = keys if len(query) == len(key) else slice(first_query, first_query + texts)
        first_key, first_query = keys.stop, queries.stop
        group = attend(
            query[queries].reshape(texts, -1, width),
            key[keys].reshape(texts, length, width),
            value[keys].reshape(texts, length, width),
            heads,
            None if mask is None else mask[keys].reshape(texts, 1, 1, length),
            causal=causal,
        )
        mixed.append(group.flatten(0, 1))
    filler = query[first_query:]
    return torch.cat([*mixed, filler]) if len(mixed) > 1 or len(filler) else mixed[0]


def _means(rows: Tensor, texts: PackedTexts) -> Tensor:
    """Return the mean of each text's rows, (texts, width) float32; padding does not count."""
    means, start = [], 0
    for count, length in texts.groups:
        stop = start + count * length
        group = rows[start:stop].view(count, length, -1)
        if texts.real is None:
            means.append(group.mean(1))
        else:
            real = texts.real.view(count, length, 1)
            means.append((group * real).sum(1) / real.sum(1))
        start = stop
    return torch.cat(means)


class ImageTower:
    """Normalised images (n, 3, size, size) to features (n, dim), by a vision transformer."""

    def __init__(self, tensors: TensorReader, shape: ImageShape, precision: torch.dtype) -> None:
        width, patch = shape.vision_width, shape.vision_patch_size
        assert patch is not None
        assert isinstance(shape.vision_layers, int)
        self._heads, self._patch = width // shape.vision_head_width, patch
        self._grid = shape.image_resolution // patch
        conv, self._class_token, self._positions, norm = read_image_embeddings(tensors, shape)
        self._embed = _layer(conv.flatten(1), torch.zeros(width), precision)
        self._norm_before = LayerNorm(*norm, shape.eps) if norm else None
        self._blocks = [
            _block(read_image_block(tensors, shape, layer), shape.eps, precision)
            for layer in range(shape.vision_layers)
        ]
        self._norm_after = LayerNorm(*tensors.norm("visual.ln_post", width), shape.eps)
        projection = tensors.floats("visual.proj", width, shape.embed_dim)
        self._project = _layer(projection.T, torch.zeros(shape.embed_dim), precision)
        tensors.finish()

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 features; the last layer is computed for the class token alone."""
        rows = self._run(self._blocks[-1], self.tokens(images), queries=1)
        return self._project(self._norm_after(rows[:, 0])).float()

    def tokens(self, images: Tensor) -> Tensor:
        """Return what the last layer takes: (n, 1 + patches, width), the class token first."""
        patches = self._embed(self._patches(images))
        class_token = self._class_token.expand(images.shape[0], 1, -1)
        rows = torch.cat([class_token, patches + self._positions], dim=1)
        rows = self._norm_before(rows) if self._norm_before else rows
        for block in self._blocks[:-1]:
            rows = self._run(block, rows)
        return rows

    def _run(self, block: Block, rows: Tensor, queries: int | None = None) -> Tensor:
        """Compute a layer for the first `queries` rows of each image, or for all."""
        query, key, value = block.qkv(block.attention_norm(rows)).chunk(3, dim=2)
        query, rows = query[:, :queries], rows[:, :queries]
        rows = rows + block.out(attend(query, key, value, self._heads))
        return rows + block.down(block.up(block.mlp_norm(rows)))

    def _patches(self, images: Tensor) -> Tensor:
        """Return one row per patch, its numbers in the order of the convolution's weights."""
        side, patch = self._grid, self._patch
        grid = images.reshape(-1, 3, side, patch, side, patch)
        return grid.permute(0, 2, 4, 1, 3, 5).reshape(-1, side * side, 3 * patch * patch)


def _block(weights: BlockWeights, eps: float, precision: torch.dtype) -> Block:
    return Block(
        qkv=_layer(*weights.qkv, precision),
        out=_layer(*weights.out, precision),
        attention_norm=LayerNorm(*weights.attention_norm, eps),
        up=_layer(*weights.up, precision, weights.activation),
        down=_layer(*weights.down, precision),
        mlp_norm=LayerNorm(*weights.mlp_norm, eps),
    )


def _projection(head: TextHead, precision: torch.dtype) -> LinearLayer:
    """Return the projection of pooled tokens, of one layer or of two."""
    bias = torch.zeros(head.projection.shape[1]) if head.bias is None else head.bias
    out = _layer(head.projection.T, bias, precision)
    if head.hidden is None:
        return out
    hidden = _layer(head.hidden.T, torch.zeros(head.hidden.shape[1]), precision, "gelu")
    return lambda rows: out(hidden(rows))


def _layer(
    weight: Tensor, bias: Tensor, precision: torch.dtype, activation: Activation = "none"
) -> LinearLayer:
    bias = bias.to(weight.device, precision)
    return linear_layer(weight.to(precision).contiguous(), bias, activation)
