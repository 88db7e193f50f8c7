"""The cross-encoder's network: text tokens attend to image tokens, and a head judges the pair."""

from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from tusou.encoders.cross.shape import CrossShape

_FIRST_SCALE = 20.0  # of the cosine before training: about the spread of the candidates' logits
_EXPANSION = 2  # width of the feed-forward layers


class CrossNetwork(nn.Module):
    """Layers of self-attention, attention from text to image, and feed-forward.

    The shape is that of ALBEF's image-text matching, with norms before each part. The logit is
    `scale * cosine + head`, and the head is zero before training: an untrained network keeps the
    order of the cosines, and training adds what they do not show.
    """

    def __init__(self, shape: CrossShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.text_in = _input_layer(shape.text_width, shape.width)
        self.image_in = _input_layer(shape.image_width, shape.width)
        self.layers = nn.ModuleList(_CrossLayer(shape, dropout) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.head = nn.Linear(shape.width, 1)
        self.scale = nn.Parameter(torch.tensor(_FIRST_SCALE))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def project_text(self, tokens: Tensor) -> Tensor:
        """Map the text tower's tokens (q, t, text_width) to (q, t, width)."""
        projected: Tensor = self.text_in(tokens)
        return projected

    def project_images(self, tokens: Tensor) -> Tensor:
        """Map the image tower's tokens, pooled, (..., m, image_width) to (..., m, width)."""
        projected: Tensor = self.image_in(tokens)
        return projected

    def forward(
        self, text: Tensor, images: Tensor, cosines: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Return the logits (q, c) of c candidates for each of q texts, whose cosines are (q, c).

        The other arguments are those of `judge`.
        """
        return self.scale * cosines + self.judge(text, images, mask)

    def judge(self, text: Tensor, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the head's part of the logits, (q, c).

        Takes projected tokens: text (q, t, width), images (q, c, m, width); and a mask (q, t), True
        for tokens that are not padding. The first self-attention, which no image influences yet, is
        computed once per text.
        """
        rows, pairs = text, images.flatten(0, 1)
        for layer in self.layers:
            rows = layer(rows, pairs, mask, last=layer is self.layers[-1])
        judged: Tensor = self.head(self.norm(rows[:, 0]))
        return judged.reshape(images.shape[:2]).float()

    @torch.no_grad()
    def rescale(self, scale: float, center: float) -> None:
        """Give the cosine another scale; a pair whose cosine is `center` keeps its logit."""
        self.head.bias.sub_((scale - self.scale) * center)
        self.scale.fill_(scale)


class _CrossLayer(nn.Module):
    """The three parts of a layer; each returns what is added to its rows."""

    def __init__(self, shape: CrossShape, dropout: float) -> None:
        super().__init__()
        width = shape.width
        self._heads = shape.heads
        self.self_norm, self.cross_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_in, self.self_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.cross_query, self.cross_out = nn.Linear(width, width), nn.Linear(width, width)
        self.cross_image = nn.Linear(width, 2 * width)  # keys and values
        self.mlp_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, _EXPANSION * width)
        self.down = nn.Linear(_EXPANSION * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, images: Tensor, mask: Tensor | None, *, last: bool) -> Tensor:
        """Return rows (pairs, t, width) for images (pairs, m, width); of the last, [CLS] alone.

        Takes a row per pair, or one per text: then the pairs of a text follow each other. The mask
        has a row per text.
        """
        rows = self._attend_to_text(rows, mask, 1 if last else None)
        rows = _repeat(rows, len(images))
        rows = rows + self._attend_to_image(rows, images)
        added: Tensor = self.dropout(self.down(functional.gelu(self.up(self.mlp_norm(rows)))))
        return rows + added

    def _attend_to_text(self, rows: Tensor, mask: Tensor | None, queries: int | None) -> Tensor:
        query, key, value = self.self_in(self.self_norm(rows)).chunk(3, dim=2)
        keys = None if mask is None else _repeat(mask, len(rows))[:, None, None, :]
        mixed = self._attend(query[:, :queries], key, value, keys)
        added: Tensor = self.dropout(self.self_out(mixed))
        return rows[:, :queries] + added

    def _attend_to_image(self, rows: Tensor, images: Tensor) -> Tensor:
        key, value = self.cross_image(images).chunk(2, dim=2)
        query = self.cross_query(self.cross_norm(rows))
        added: Tensor = self.dropout(self.cross_out(self._attend(query, key, value)))
        return added

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        def split(rows: Tensor) -> Tensor:
            return rows.reshape(*rows.shape[:2], self._heads, -1).transpose(1, 2)

        mixed = functional.scaled_dot_product_attention(
            split(query), split(key), split(value), mask
        )
        return mixed.transpose(1, 2).flatten(2)


def _repeat(rows: Tensor, count: int) -> Tensor:
    """Repeat each row, so that there are `count`."""
    return rows if len(rows) == count else rows.repeat_interleave(count // len(rows), 0)


def _input_layer(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, width), nn.LayerNorm(width))


def pool_tokens(tokens: Tensor, pool: int) -> Tensor:
    """Average squares of `pool` x `pool` patches of (n, 1 + patches, width); [CLS] stays first."""
    if pool == 1:
        return tokens
    count, patches, width = len(tokens), tokens.shape[1] - 1, tokens.shape[2]
    side = isqrt(patches) // pool
    grid = tokens[:, 1:].reshape(count, side, pool, side, pool, width)
    return torch.cat([tokens[:, :1], grid.mean(dim=(2, 4)).flatten(1, 2)], dim=1)
