"""The embedding cache: vectors equal those of the encoder, damaged files are encoded again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tusou_lab.embedding_cache import EmbeddingCache, conditions

from tusou.core.arrays import Vectors

TEXTS = ["红色连衣裙", "男士黑色皮鞋", "红色连衣裙", "手机壳"]
ABOUT = conditions("0" * 64, None, "fp32")


@dataclass
class Encoder:
    """Returns a distinct row per text and records the batches."""

    batches: list[list[str]] = field(default_factory=list)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        self.batches.append(list(texts))
        return rows(texts)


@dataclass
class RecordedProgress:
    """Records the calls of a progress bar."""

    labels: list[tuple[str, int]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self.labels.append((label, total))

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.steps.append(steps)

    def notice(self, message: str) -> None: ...


def rows(texts: Sequence[str]) -> Vectors:
    return np.array([[len(text), *text.encode()[-3:]] for text in texts], np.float32)


def test_only_new_texts_are_encoded(tmp_path: Path) -> None:
    encoder = Encoder()
    cache = EmbeddingCache(tmp_path / "new" / "folder")
    np.testing.assert_array_equal(cache.embed(TEXTS, ABOUT, encoder), rows(TEXTS))
    assert (cache.encoded, cache.cached) == (3, 1)
    again = EmbeddingCache(tmp_path / "new" / "folder")
    texts = ["雨伞", *reversed(TEXTS)]
    vectors = again.embed(texts, ABOUT, encoder)
    np.testing.assert_array_equal(vectors, rows(texts))
    assert vectors.dtype == np.float32
    assert encoder.batches == [[TEXTS[0], TEXTS[1], TEXTS[3]], ["雨伞"]]
    assert (again.encoded, again.cached) == (1, 4)
    assert [path.suffix for path in (tmp_path / "new" / "folder").iterdir()] == [".npz"]


@pytest.mark.parametrize(
    "other",
    [
        conditions("1" * 64, None, "fp32"),
        conditions("0" * 64, "商品：{query}", "fp32"),
        conditions("0" * 64, None, "bf16"),
    ],
)
def test_other_conditions_have_their_own_vectors(tmp_path: Path, other: dict[str, str]) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.embed(TEXTS, ABOUT, rows)
    cache.embed(TEXTS, other, lambda texts: -rows(texts))
    np.testing.assert_array_equal(cache.embed(TEXTS, ABOUT, rows), rows(TEXTS))
    np.testing.assert_array_equal(cache.embed(TEXTS, other, rows), -rows(TEXTS))
    assert (cache.encoded, cache.cached) == (6, 10)


def test_an_empty_template_equals_no_template() -> None:
    assert conditions("0" * 64, "{query}", "fp32") == ABOUT


def test_texts_are_encoded_in_batches_with_progress() -> None:
    texts, encoder, progress = [f"第{n}件" for n in range(600)], Encoder(), RecordedProgress()
    np.testing.assert_array_equal(
        EmbeddingCache(None, progress).embed(texts, ABOUT, encoder), rows(texts)
    )
    assert [len(batch) for batch in encoder.batches] == progress.steps == [256, 256, 88]
    assert progress.labels == [("encoding queries (fp32)", 600)]


def test_without_a_folder_nothing_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    encoder = Encoder()
    for _ in range(2):
        EmbeddingCache(None).embed(TEXTS, ABOUT, encoder)
    assert len(encoder.batches) == 2
    assert list(tmp_path.iterdir()) == []


def test_damage_to_any_byte_is_detected(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path).embed(TEXTS, ABOUT, rows)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 97)]
    for position in range(0, len(whole), 3):
        flipped = bytearray(whole)
        flipped[position] ^= 0xFF
        damaged.append(bytes(flipped))
    for data in damaged:
        path.write_bytes(data)
        cache = EmbeddingCache(tmp_path)
        np.testing.assert_array_equal(cache.embed(TEXTS, ABOUT, rows), rows(TEXTS))
        if cache.encoded:  # then the file is rewritten; damage to a date in the zip is harmless
            assert path.read_bytes() == whole
