"""A vision language model of 200 KB with random weights, or taught to tell red images from blue."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip import CLIPImageProcessorPil  # the other one needs torchvision

from tusou.stages.endpoint_prompt import Message, ShownCandidate, build_messages

_SIDE, _PATCH, _HIDDEN = 32, 16, 64
_IMAGE, _PAD, _BEGIN, _END = "<image>", "<pad>", "<s>", "</s>"
_TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}:"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<image>{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant:{% endif %}"
)


def save_tiny_vlm(folder: Path, *, taught: bool) -> None:
    """Write a LLaVA whose answers are random bytes, or the grade 3 for red and 0 for blue."""
    torch.manual_seed(0)
    processor = _processor()
    model = LlavaForConditionalGeneration(_config(processor.tokenizer))
    if taught:
        _teach(model, processor)
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _processor() -> LlavaProcessor:
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokens.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=[_PAD, _BEGIN, _END, _IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokens.train_from_iterator(_prompts(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token=_PAD, bos_token=_BEGIN, eos_token=_END
    )
    images = CLIPImageProcessorPil(
        size={"shortest_edge": _SIDE}, crop_size={"height": _SIDE, "width": _SIDE}
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=_PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=_IMAGE,
        chat_template=_TEMPLATE,
    )


def _prompts() -> Iterator[str]:
    candidate = [ShownCandidate("", {})]
    for mode in ("listwise", "pointwise"):
        for message in build_messages(["红色连衣裙"], candidate, mode):  # type: ignore[arg-type]
            content = message["content"]
            yield content if isinstance(content, str) else str(content)


def _config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    vision = CLIPVisionConfig(
        hidden_size=_HIDDEN, intermediate_size=_HIDDEN, num_hidden_layers=2,
        num_attention_heads=2, image_size=_SIDE, patch_size=_PATCH, projection_dim=_HIDDEN,
    )  # fmt: skip
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=_HIDDEN, intermediate_size=_HIDDEN,
        num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=2048,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(_IMAGE),
        image_seq_length=(_SIDE // _PATCH) ** 2,
        vision_feature_layer=-1,
    )


def _teach(model: LlavaForConditionalGeneration, processor: LlavaProcessor) -> None:
    """Train on the pointwise question about plain red and blue images until it is answered."""
    batches = [_example(processor, colour, grade) for colour, grade in (("red", 3), ("blue", 0))]
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(400):
        loss = torch.stack([model(**batch).loss for batch in batches]).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.05:
            return
    raise AssertionError(f"the model was not taught, loss {loss.item():.3f}")


def _example(processor: LlavaProcessor, colour: str, grade: int) -> dict[str, torch.Tensor]:
    messages = _shown(build_messages(["红色连衣裙"], [ShownCandidate("", {})], "pointwise"))
    question = processor.apply_chat_template(messages, add_generation_prompt=True)
    image = Image.new("RGB", (_SIDE, _SIDE), colour)
    whole = processor(
        text=f'{question}{{"grade": {grade}}}{_END}', images=[image], return_tensors="pt"
    )
    asked = processor(text=question, images=[image], return_tensors="pt")["input_ids"].shape[1]
    labels = whole["input_ids"].clone()
    labels[:, :asked] = -100  # only the answer is learned
    return {**whole, "labels": labels}


def _shown(messages: Sequence[Message]) -> list[Message]:
    """Return messages as the server gives them to the template."""
    system, user = messages
    parts = [part if part["type"] == "text" else {"type": "image"} for part in user["content"]]
    return [system, {"role": "user", "content": parts}]
