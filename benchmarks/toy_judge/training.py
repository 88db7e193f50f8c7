"""Trains the toy judge to say what an image shows, and which words of a query that fits.

The image tower is not trained, so the features of every image are computed once. Most steps see one
token of each image alone, the tower's summary of it, at the positions that all tokens would have:
that takes less than half the time. The last steps see all tokens.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, LlavaProcessor
from tusou_lab.evalset.domain import Domain
from tusou_lab.evalset.llm_prompt import grade_messages, guideline_messages

from benchmarks.toy_judge.examples import (
    GUIDELINE,
    GUIDELINE_ANSWER,
    ExampleWriter,
)
from benchmarks.toy_judge.processor import IMAGE, IMAGE_TOKENS, render
from benchmarks.toy_judge.world import ToyItem
from tusou.images.preprocess import open_image

_IGNORED = -100  # of labels, as PyTorch's loss has it
_GUIDELINES = 2  # of each batch


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """The steps of both parts of the training, and their batches."""

    short_steps: int = 900  # with the first token of each image
    whole_steps: int = 150  # with all tokens
    batch: int = 64
    learning_rate: float = 3e-3
    seed: int = 1


@dataclass(slots=True)
class TrainingReport:
    """The last losses of both parts."""

    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Sequence:
    ids: list[int]  # with one token for the image, if there is one
    labels: list[int]
    image: int | None


class Trainer:
    """Trains a network on drawn images and the texts about them."""

    def __init__(
        self,
        network: LlavaForConditionalGeneration,
        processor: LlavaProcessor,
        domain: Domain,
        items: Sequence[ToyItem],
        spec: TrainingSpec,
    ) -> None:
        self._network, self._items, self._spec = network, items, spec
        self._questions = _Questions(processor, domain, random.Random(spec.seed))
        self._features = encode_images(network, processor, items)
        self._draw = random.Random(spec.seed + 1)
        self._trained = [each for each in network.parameters() if each.requires_grad]

    def train(self) -> TrainingReport:
        """Train for the steps of the spec."""
        report = TrainingReport()
        self._network.train()
        optimiser = torch.optim.AdamW(self._trained, self._spec.learning_rate, weight_decay=0.01)
        parts = ((self._spec.short_steps, 1), (self._spec.whole_steps, IMAGE_TOKENS))
        steps, step = sum(count for count, _ in parts), 0
        for count, tokens in parts:
            mean = 0.0
            for number in range(count):
                for group in optimiser.param_groups:  # rises at first, and falls to nothing
                    group["lr"] = self._spec.learning_rate * min(step / 40, 1 - step / steps)
                loss = self._loss(list(self._batch()), tokens)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(self._trained, 1.0)
                optimiser.step()
                step += 1
                mean += max(0.05, 1 / (number + 1)) * (loss.item() - mean)
                if step % 50 == 0:
                    print(f"step {step} of {steps}: loss {mean:.4f}", flush=True)
            report.losses.append(round(mean, 4))
        self._network.eval()
        return report

    def _batch(self) -> Iterator[_Sequence]:
        for number in range(self._spec.batch):
            place = self._draw.randrange(len(self._items))
            if number < _GUIDELINES:
                yield self._questions.guideline(self._items[place])
            else:
                yield self._questions.grade(self._items[place], place)

    def _loss(self, batch: Sequence[_Sequence], tokens: int) -> Tensor:
        """Return the mean loss of all tokens of the answers."""
        network = self._network
        image_id = network.config.image_token_id
        embed = network.get_input_embeddings()
        seen = [each.image for each in batch if each.image is not None]
        shown = iter(network.model.multi_modal_projector(self._features[seen, :tokens].float()))
        rows, labels, positions = [], [], []
        for each in batch:
            ids = torch.tensor(each.ids)
            row, label, position = embed(ids), torch.tensor(each.labels), torch.arange(len(ids))
            if each.image is not None:
                place = each.ids.index(image_id)
                row = torch.cat([row[:place], next(shown), row[place + 1 :]])
                ignored = torch.full((tokens,), _IGNORED)
                label = torch.cat([label[:place], ignored, label[place + 1 :]])
                # Positions after the image count all of its tokens, although fewer are trained on.
                behind = torch.arange(place + IMAGE_TOKENS, len(ids) - 1 + IMAGE_TOKENS)
                position = torch.cat([position[:place], place + torch.arange(tokens), behind])
            rows.append(row)
            labels.append(label)
            positions.append(position)
        pad = nn.utils.rnn.pad_sequence
        target = pad(labels, batch_first=True, padding_value=_IGNORED)[:, 1:]
        hidden = network.model.language_model(
            inputs_embeds=pad(rows, batch_first=True),
            # Without a mask, a gap of positions would be taken for the end of a sequence.
            attention_mask=pad([torch.ones(len(row)) for row in rows], batch_first=True),
            position_ids=pad(positions, batch_first=True),
        ).last_hidden_state[:, :-1]
        learned = target != _IGNORED
        return nn.functional.cross_entropy(network.lm_head(hidden[learned]), target[learned])


class _Questions:
    """Questions and answers as tokens."""

    def __init__(self, processor: LlavaProcessor, domain: Domain, draw: random.Random) -> None:
        self._processor, self._writer = processor, ExampleWriter(domain, draw)
        self._end = processor.tokenizer.eos_token_id

    def grade(self, item: ToyItem, place: int) -> _Sequence:
        """Return a question about an image."""
        example = self._writer.write(item)
        prompt = self._tokens(
            render(self._processor, grade_messages(example.query, GUIDELINE, IMAGE))
        )
        answer = [*self._tokens(example.answer), self._end]
        return _Sequence([*prompt, *answer], [_IGNORED] * len(prompt) + answer, place)

    def guideline(self, item: ToyItem) -> _Sequence:
        """Return the question for a guideline."""
        messages = guideline_messages(self._writer.write(item).query, None)
        prompt = self._tokens(render(self._processor, messages))
        answer = [*self._tokens(GUIDELINE_ANSWER), self._end]
        return _Sequence([*prompt, *answer], [_IGNORED] * len(prompt) + answer, None)

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def encode_images(
    network: LlavaForConditionalGeneration, processor: LlavaProcessor, items: Sequence[ToyItem]
) -> Tensor:
    """Return the features of each image before the projector: (n, tokens, width), half floats."""
    parts = []
    for start in range(0, len(items), 64):
        images: list[Image.Image] = [
            open_image(item.image).convert("RGB") for item in items[start : start + 64]
        ]
        pixels = processor.image_processor(images, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            states = network.model.vision_tower(pixels, output_hidden_states=True).hidden_states
        parts.append(states[-1].half())
    return torch.cat(parts).clone()
