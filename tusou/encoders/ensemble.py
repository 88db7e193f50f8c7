"""Encoders of several models, whose vectors stand side by side: see `core.unit_vectors`."""

from collections.abc import Hashable, Sequence

from tusou.bundle.model_record import CHINESE_CLIP, EncoderRecord
from tusou.core.arrays import Pixels, Vectors
from tusou.core.unit_vectors import join_parts
from tusou.encoders.base import ImageEncoder, TextEncoder, Tokens, join_tokens
from tusou.encoders.families.remote import REMOTE
from tusou.encoders.prompted import PromptedEncoder
from tusou.images.transform import as_transforms, join_transforms, split_pixels


def join_names(names: Sequence[str]) -> str:
    """Return the common name of the models' backends or precisions: all of them if they differ."""
    return names[0] if len(set(names)) == 1 else ",".join(names)


def tokenizer_key(record: EncoderRecord | None) -> Hashable:
    """Return a key of what a model makes tokens with; models of equal keys can share tokens."""
    if record is None or record.family == CHINESE_CLIP:
        return CHINESE_CLIP
    # Families clean texts in their own ways before the same files of a tokenizer read them, and so
    # does the code of a model's own, which its architecture names.
    return (
        record.family,
        record.architecture if record.family == REMOTE else None,
        record.tokenizer,
        record.tokenizer_sha256,
        record.context_length,
        record.padding,
        record.lower_case,
    )


class EnsembleTextEncoder:
    """Encodes texts with several text towers.

    Towers with equal `tokenizers` keys read the same tokens. The tokens of different tokenizers
    stand side by side.
    """

    def __init__(
        self,
        members: Sequence[TextEncoder],
        weights: Sequence[float],
        tokenizers: Sequence[Hashable] | None = None,
    ) -> None:
        self.members, self.weights = tuple(members), tuple(weights)
        self.tokenizers = tuple(range(len(members)) if tokenizers is None else tokenizers)
        different = list(dict.fromkeys(self.tokenizers))
        self._parts = [different.index(key) for key in self.tokenizers]  # of the rows of tokens
        self._readers = [members[self._parts.index(part)] for part in range(len(different))]
        self.dim = sum(member.dim for member in members)
        self.backend = join_names([member.backend for member in members])
        self.precision = join_names([member.precision for member in members])

    def prepare(self, texts: Sequence[str]) -> Tokens:
        return join_tokens([reader.prepare(texts) for reader in self._readers])

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        """Return the largest share of any member."""
        return list(
            map(max, zip(*(each.unknown_share(texts) for each in self.members), strict=True))
        )

    def warm_up(self) -> None:
        for member in self.members:
            member.warm_up()

    def encode(self, tokens: Tokens) -> Vectors:
        parts = tokens.parts
        members = zip(self.members, self._parts, strict=True)
        return join_parts([member.encode(parts[part]) for member, part in members], self.weights)


class EnsembleImageEncoder:
    """Encodes images with several image towers, each of which has its transform of images."""

    def __init__(self, members: Sequence[ImageEncoder], weights: Sequence[float]) -> None:
        self._members, self._weights = tuple(members), tuple(weights)
        self.dim = sum(member.dim for member in members)
        self.precision = join_names([member.precision for member in members])
        self._transforms = [each for member in members for each in as_transforms(member.transform)]
        self.transform = join_transforms(self._transforms)

    def encode(self, pixels: Pixels) -> Vectors:
        images = split_pixels(pixels, self.transform)
        members = zip(self._members, self._transforms, strict=True)
        parts = [member.encode(images[transform]) for member, transform in members]
        return join_parts(parts, self._weights)


def combine_text_encoders(
    towers: Sequence[TextEncoder],
    weights: Sequence[float],
    prompts: Sequence[str],
    records: Sequence[EncoderRecord | None],
) -> TextEncoder:
    """Return the text encoder of a model, of one tower or several; InvalidRequest for a prompt."""
    encoders = [PromptedEncoder(tower, *prompts) if prompts else tower for tower in towers]
    if len(encoders) == 1:
        return encoders[0]
    return EnsembleTextEncoder(encoders, weights, list(map(tokenizer_key, records)))


def text_part(encoder: TextEncoder, weight: float) -> TextEncoder:
    """Return an encoder of one model's part of the vectors; 1 is the weight of a model alone."""
    return encoder if weight == 1 else EnsembleTextEncoder([encoder], [weight])


def image_part(encoder: ImageEncoder, weight: float) -> ImageEncoder:
    """Return an encoder of one model's part of the vectors, as for texts."""
    return encoder if weight == 1 else EnsembleImageEncoder([encoder], [weight])


def without_prompt(encoder: TextEncoder) -> TextEncoder:
    """Return the encoder of texts that are items, which have no prompt."""
    if isinstance(encoder, EnsembleTextEncoder):
        members = list(map(without_prompt, encoder.members))
        return EnsembleTextEncoder(members, encoder.weights, encoder.tokenizers)
    return encoder.inner if isinstance(encoder, PromptedEncoder) else encoder
