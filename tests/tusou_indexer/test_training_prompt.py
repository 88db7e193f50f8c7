"""The prompt of a training becomes that of a bundle."""

from pathlib import Path

import pytest
from tusou_indexer.model_notices import choose_prompts

from tusou.bundle.model_record import Model
from tusou.cli.progress import NoProgress
from tusou.encoders.conversion_record import ConversionRecord, write_conversion
from tusou.encoders.training_record import (
    SplitRecord,
    TrainingRecord,
    read_record,
    record_path,
    write_record,
)

PROMPT = "一张{query}的照片"


class Notices(NoProgress):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def notice(self, message: str) -> None:
        self.sentences.append(message)


def trained(checkpoint: Path, prompt: str, digest: str = "0" * 64) -> Model:
    split = SplitRecord(source="data#train", images=2, queries=2, sha256="")
    record = TrainingRecord(
        tool="tusou", checkpoint_sha256=digest, settings={"prompt": prompt}, train=split,
        valid=split, steps=1, losses=(), epochs=(), best_epoch=1, best_mean_recall=1.0,
        seconds=1.0, machine="", date="",
    )  # fmt: skip
    write_record(checkpoint, record)
    return Model(name="tuned.pt", location=str(checkpoint), sha256="0" * 64, dim=64, image_size=32)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "tuned.pt"


def test_the_prompt_of_the_training_is_used_and_said(checkpoint: Path) -> None:
    notices = Notices()
    assert choose_prompts((), trained(checkpoint, PROMPT), notices) == (PROMPT,)
    (sentence,) = notices.sentences
    assert PROMPT in sentence


def test_a_given_prompt_counts(checkpoint: Path) -> None:
    notices = Notices()
    assert choose_prompts(("{query}",), trained(checkpoint, PROMPT), notices) == ("{query}",)
    assert notices.sentences == []


def test_a_training_without_a_prompt_has_none(checkpoint: Path) -> None:
    assert choose_prompts((), trained(checkpoint, ""), Notices()) == ()


def test_a_record_of_other_weights_or_a_damaged_one_says_nothing(checkpoint: Path) -> None:
    assert choose_prompts((), trained(checkpoint, PROMPT, "1" * 64), Notices()) == ()
    model = trained(checkpoint, PROMPT)
    record_path(checkpoint).write_text("{}")
    assert choose_prompts((), model, Notices()) == ()


@pytest.mark.parametrize(("digest", "prompts"), [("0" * 64, (PROMPT,)), ("1" * 64, ())])
def test_a_converted_model_keeps_the_prompt(
    checkpoint: Path, digest: str, prompts: tuple[str, ...]
) -> None:
    trained(checkpoint, PROMPT, "a" * 64)
    converted = checkpoint.with_name("converted")
    conversion = ConversionRecord(
        tool="tusou", date="", form="transformers", source=str(checkpoint),
        source_sha256="a" * 64, sha256=digest, training=read_record(checkpoint),
    )  # fmt: skip
    write_conversion(converted, conversion)
    model = Model(name="x", location=str(converted), sha256="0" * 64, dim=64, image_size=32)
    assert choose_prompts((), model, Notices()) == prompts
