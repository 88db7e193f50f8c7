"""Kept vectors are those that were encoded; what is damaged is encoded again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tusou_lab.embedding_cache import KeptVectors, conditions

from tusou.core.arrays import Vectors

TEXTS = ["红色连衣裙", "男士黑色皮鞋", "红色连衣裙", "手机壳"]
ABOUT = conditions("0" * 64, None, "fp32")


@dataclass
class Encoder:
    """Gives each text a row of its own, and writes down the batches it was given."""

    batches: list[list[str]] = field(default_factory=list)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        self.batches.append(list(texts))
        return rows(texts)


@dataclass
class Heard:
    begun: list[tuple[str, int]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self.begun.append((label, total))

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.steps.append(steps)


def rows(texts: Sequence[str]) -> Vectors:
    return np.array([[len(text), *text.encode()[-3:]] for text in texts], np.float32)


def test_only_what_is_new_is_encoded(tmp_path: Path) -> None:
    encoder = Encoder()
    kept = KeptVectors(tmp_path / "new" / "folder")
    np.testing.assert_array_equal(kept.of(TEXTS, ABOUT, encoder), rows(TEXTS))
    assert (kept.encoded, kept.remembered) == (3, 1)
    again = KeptVectors(tmp_path / "new" / "folder")
    asked = ["雨伞", *reversed(TEXTS)]
    found = again.of(asked, ABOUT, encoder)
    np.testing.assert_array_equal(found, rows(asked))
    assert found.dtype == np.float32
    assert encoder.batches == [[TEXTS[0], TEXTS[1], TEXTS[3]], ["雨伞"]]
    assert (again.encoded, again.remembered) == (1, 4)
    assert [path.suffix for path in (tmp_path / "new" / "folder").iterdir()] == [".npz"]


@pytest.mark.parametrize(
    "other",
    [
        conditions("1" * 64, None, "fp32"),
        conditions("0" * 64, "商品：{query}", "fp32"),
        conditions("0" * 64, None, "bf16"),
    ],
)
def test_other_conditions_are_another_matter(tmp_path: Path, other: dict[str, str]) -> None:
    kept = KeptVectors(tmp_path)
    kept.of(TEXTS, ABOUT, rows)
    kept.of(TEXTS, other, lambda texts: -rows(texts))
    np.testing.assert_array_equal(kept.of(TEXTS, ABOUT, rows), rows(TEXTS))
    np.testing.assert_array_equal(kept.of(TEXTS, other, rows), -rows(TEXTS))
    assert (kept.encoded, kept.remembered) == (6, 10)


def test_the_template_that_adds_nothing_is_no_template() -> None:
    assert conditions("0" * 64, "{query}", "fp32") == ABOUT


def test_many_texts_go_in_batches_that_are_watched() -> None:
    texts, encoder, heard = [f"第{n}件" for n in range(600)], Encoder(), Heard()
    np.testing.assert_array_equal(KeptVectors(None, heard).of(texts, ABOUT, encoder), rows(texts))
    assert [len(batch) for batch in encoder.batches] == heard.steps == [256, 256, 88]
    assert heard.begun == [("encoding queries (fp32)", 600)]


def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    encoder = Encoder()
    for _ in range(2):
        KeptVectors(None).of(TEXTS, ABOUT, encoder)
    assert len(encoder.batches) == 2
    assert list(tmp_path.iterdir()) == []


def test_whatever_byte_is_damaged_the_vectors_are_right(tmp_path: Path) -> None:
    KeptVectors(tmp_path).of(TEXTS, ABOUT, rows)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 97)]
    for place in range(0, len(whole), 3):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        damaged.append(bytes(flipped))
    for data in damaged:
        path.write_bytes(data)
        kept = KeptVectors(tmp_path)
        np.testing.assert_array_equal(kept.of(TEXTS, ABOUT, rows), rows(TEXTS))
        if kept.encoded:  # and the file is whole again; dates inside it are nobody's
            assert path.read_bytes() == whole
