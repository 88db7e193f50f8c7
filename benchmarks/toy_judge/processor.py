"""The tokenizer and the image processor of the toy judge."""

from collections.abc import Iterable, Iterator

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlavaProcessor, PreTrainedTokenizerFast
from transformers.models.clip import CLIPImageProcessorPil  # the other one needs torchvision
from tusou_lab.evalset.domain import Domain
from tusou_lab.evalset.llm_prompt import grade_messages, guideline_messages

from benchmarks.toy_judge.examples import (
    DIFFERS,
    END,
    FITS,
    GRADE,
    GUIDELINE,
    GUIDELINE_ANSWER,
    REFUSED,
    SHOWN,
    STOP,
)
from tusou.stages.endpoint_prompt import Message

SIDE, PATCH = 64, 8
IMAGE_TOKENS = (SIDE // PATCH) ** 2 + 1  # with the one of the class
IMAGE, PAD, BEGIN, STOP_TOKEN = "<image>", "<pad>", "<s>", "</s>"
_VOCABULARY = 900  # bytes and what is merged from them
_TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}:"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<image>{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant:{% endif %}"
)


def make_processor(domain: Domain, texts: Iterable[str]) -> LlavaProcessor:
    """Return a processor whose tokens are the domain's words and the fixed parts of the prompts.

    Other text is made of tokens that are merged from the bytes of `texts`.
    """
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokens.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[PAD, BEGIN, STOP_TOKEN, IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=6,  # two characters
        show_progress=False,
    )
    tokens.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token=PAD, bos_token=BEGIN, eos_token=STOP_TOKEN
    )
    fixed = [AddedToken(text, normalized=False) for text in dict.fromkeys(_fixed(domain))]
    tokenizer.add_tokens(fixed)
    images = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=_TEMPLATE,
    )


def _fixed(domain: Domain) -> Iterator[str]:
    """Yield the texts that are one token each: parts of prompts and answers, and words."""
    for messages in (guideline_messages("", None), grade_messages("", GUIDELINE, "")):
        yield messages[0]["content"]
    _, user = grade_messages("|", GUIDELINE, "")
    before, after = "".join(part.get("text", "") for part in user["content"]).split("|")
    yield from (before, after, "system:", "user:", "assistant:")
    yield from (SHOWN, STOP, GRADE, END, FITS, DIFFERS, REFUSED, GUIDELINE_ANSWER, *"0123")
    terms = [*domain.concepts, *(term for each in domain.attributes for term in each.values)]
    for term in terms:
        yield from term.all_words


def render(processor: LlavaProcessor, messages: list[Message]) -> str:
    """Return the prompt of messages as the server renders it."""
    system, user = messages
    content = user["content"]
    parts = [part if part["type"] == "text" else {"type": "image"} for part in content]
    shown = [system, {"role": "user", "content": parts}]
    rendered: str = processor.apply_chat_template(shown, add_generation_prompt=True)
    return rendered
