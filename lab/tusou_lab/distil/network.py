"""The networks of students: text towers of Chinese-CLIP's kind with fewer, narrower layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from cn_clip.clip.configuration_bert import BertConfig
from cn_clip.clip.modeling_bert import BertLayer, BertModel
from torch import Tensor, nn
from torch.nn import functional

from tusou.encoders.architecture import TextShape
from tusou.encoders.base import CONTEXT
from tusou.encoders.student.record import CHECKPOINT
from tusou.encoders.torch.layers import attend
from tusou_lab.train.files import save_torch

_HEAD_WIDTH = 64  # Tusou reads the number of heads from the width
_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
_DROPOUT = 0.0  # each batch has other texts, and more of them can always be made
# Beside what layer norm adds up; as BERT begins.
_DEVIATION = 0.02


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """The layers of a student, and the default of its training."""

    layers: int
    width: int
    lr: float


SHAPES: Mapping[Literal["small", "medium"], NetworkShape] = {
    "small": NetworkShape(2, 256, 1e-3),
    "medium": NetworkShape(3, 768, 3e-4),  # of RBT3
}


class StudentNetwork(nn.Module):
    """A BERT whose vocabulary is only the tokens of the training texts, numbered anew."""

    def __init__(self, shape: NetworkShape, dim: int, tokens: npt.NDArray[np.int64]) -> None:
        """`tokens` are the ids that occur, ascending; the first is padding's, 0."""
        super().__init__()
        self._tokens = tokens
        config = BertConfig(
            vocab_size_or_config_json_file=len(tokens),
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.width // _HEAD_WIDTH,
            intermediate_size=4 * shape.width,
            hidden_act=functional.gelu,
            hidden_dropout_prob=_DROPOUT,
            attention_probs_dropout_prob=_DROPOUT,
            max_position_embeddings=CONTEXT,
            type_vocab_size=2,
            initializer_range=_DEVIATION,
            layer_norm_eps=1e-12,
        )
        self.bert = BertModel(config)
        self.text_projection = nn.Parameter(torch.randn(shape.width, dim) * shape.width**-0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the unit vectors of texts (n, dim); `ids` are the network's own, padded with 0."""
        rows, mask = self.bert.embeddings(ids), ids.ne(0)[:, None, None]
        *layers, last = self.bert.encoder.layer
        for layer in layers:
            rows = _run_layer(layer, rows, rows, mask)
        first = _run_layer(last, rows[:, :1], rows, mask)  # no vector is made of the others
        return functional.normalize(first[:, 0] @ self.text_projection)

    def number(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the network's own ids of the tokenizer's."""
        return np.searchsorted(self._tokens, ids)

    @torch.no_grad()
    def start_from_vectors(
        self, tokens: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32]
    ) -> None:
        """Let the embeddings of tokens be the main components of their vectors (n, d)."""
        embeddings = self.bert.embeddings.word_embeddings.weight
        width = embeddings.shape[1]
        axes = np.linalg.svd(vectors.T @ vectors, hermitian=True)[0][:, :width]
        parts = torch.from_numpy(np.ascontiguousarray(vectors @ axes, np.float32))
        scale = 2 * _DEVIATION * np.sqrt(width) / float(parts.norm(dim=1).mean().clamp_min(1e-9))
        rows = torch.from_numpy(np.searchsorted(self._tokens, tokens))
        embeddings[rows, : parts.shape[1]] += parts * scale

    @torch.no_grad()
    def start_from_tower(self, tensors: Mapping[str, Tensor], shape: TextShape) -> bool:
        """Copy the first layers of a tower; return False if its width is another one."""
        width = self.text_projection.shape[0]
        if shape.layout != "bert" or shape.text_hidden_size != width or shape.pooling != "first":
            return False
        for name, parameter in self.named_parameters():
            if name.startswith("bert.pooler") or name not in tensors:
                continue
            given = tensors[name].float()
            if name == _EMBEDDINGS:
                given = given[torch.from_numpy(self._tokens)]
            elif name.endswith("position_embeddings.weight"):
                given = given[:CONTEXT]
            if given.shape == parameter.shape:
                parameter.copy_(given)
        return True

    def save(self, folder: Path, vocabulary: int) -> None:
        """Write a checkpoint of a text tower alone, in cn_clip's names and half precision.

        A token that no text of the training has gets an embedding of zeros.
        """
        state = {
            name: tensor.detach().cpu()
            for name, tensor in self.state_dict().items()
            if not name.startswith("bert.pooler") and tensor.is_floating_point()
        }
        embeddings = state[_EMBEDDINGS]
        every = embeddings.new_zeros(vocabulary, embeddings.shape[1])
        every[torch.from_numpy(self._tokens)] = embeddings
        state[_EMBEDDINGS] = every
        halves = {name: tensor.half().contiguous() for name, tensor in state.items()}
        save_torch({"name": "student", "state_dict": halves}, folder / CHECKPOINT)


def _run_layer(layer: BertLayer, rows: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    """Return a layer's output for rows (n, q, width) that attend to keys (n, m, width)."""
    attention = layer.attention.self
    mixed = attend(
        attention.query(rows),
        attention.key(keys),
        attention.value(keys),
        attention.num_attention_heads,
        mask,
    )
    rows = layer.attention.output(mixed, rows)
    output: Tensor = layer.output(layer.intermediate(rows), rows)
    return output
