"""Equality of vectors by passes of fixed shapes with those by passes without padding.

Without a GPU a recording calls the work again on the same memory. The choice of shapes, the
padding, the copies and the order of passes are those of a GPU.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recording import DeviceLog, RepeatedWork
from torch._subclasses.fake_tensor import FakeTensorMode

from tusou.core.arrays import Vectors
from tusou.encoders import find_weights, load_text_encoder, resolve_encoder
from tusou.encoders.architecture import read_text_shape
from tusou.encoders.base import CONTEXT, Tokens
from tusou.encoders.checkpoint import TensorReader, read_tensors
from tusou.encoders.cuda.text_graphs import GraphShape, graph_shapes, plan_passes
from tusou.encoders.torch.encoder import ClipTextEncoder
from tusou.encoders.torch.towers import TextTower, pack_padded

if TYPE_CHECKING:
    from tests.tusou.encoders.conftest import Sample

TEXTS = ["红色碎花吊带裙", "北欧轻奢边几", "裙", "", "男士黑色皮鞋，" * 12, "复古 ABC 2023 连衣裙"]


def encoder_of(sample: "Sample", precision: str = "fp32") -> ClipTextEncoder:
    weights = find_weights(str(sample.path))
    return ClipTextEncoder(resolve_encoder(weights, "text", "cpu", precision, "torch"))


def vectors_of(encoder: ClipTextEncoder, texts: list[str]) -> Vectors:
    return encoder.encode(encoder.prepare(texts))


@pytest.fixture(scope="module")
def plain(tiny: "Sample") -> ClipTextEncoder:
    return encoder_of(tiny)


@pytest.fixture(scope="module")
def recorded(tiny: "Sample") -> ClipTextEncoder:
    encoder = encoder_of(tiny)
    encoder.record(RepeatedWork)
    assert encoder.recorded
    return encoder


def test_padding_changes_no_vector(plain: ClipTextEncoder, recorded: ClipTextEncoder) -> None:
    vectors = vectors_of(recorded, TEXTS)
    assert (vectors.dtype, vectors.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_allclose(vectors, vectors_of(plain, TEXTS), atol=1e-6)


def test_padding_changes_no_vector_in_half_precision(
    tiny: "Sample", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding is masked by minus infinity as on a GPU, and nothing overflows."""
    # Half precision is slow on a CPU.
    monkeypatch.setattr("tusou.encoders.cuda.text_graphs._MAX_TOKENS", 128)
    encoder = encoder_of(tiny, "fp16")
    before = vectors_of(encoder, TEXTS)
    encoder.record(RepeatedWork)
    assert np.einsum("nd,nd->n", vectors_of(encoder, TEXTS), before).min() >= 0.99999


def test_texts_of_many_passes_keep_their_order(
    plain: ClipTextEncoder, recorded: ClipTextEncoder
) -> None:
    texts = [TEXTS[number % len(TEXTS)] + str(number) for number in range(1500)]
    assert len(list(plan_passes(np.full(1500, 52), CONTEXT))) > 4
    np.testing.assert_allclose(vectors_of(recorded, texts), vectors_of(plain, texts), atol=1e-6)


def test_a_text_does_not_depend_on_earlier_passes(recorded: ClipTextEncoder) -> None:
    alone = vectors_of(recorded, TEXTS[:1])
    vectors_of(recorded, TEXTS * 40)
    np.testing.assert_array_equal(vectors_of(recorded, TEXTS[:1]), alone)


def test_padding_within_a_text_is_masked(plain: ClipTextEncoder, recorded: ClipTextEncoder) -> None:
    tokens = Tokens(np.array([[101, 500, 0, 600, 0], [101, 102, 0, 0, 0]]), (False, False))
    np.testing.assert_allclose(recorded.encode(tokens), plain.encode(tokens), atol=1e-6)


def test_no_texts_have_no_rows(recorded: ClipTextEncoder) -> None:
    assert vectors_of(recorded, []).shape == (0, 48)


def test_concurrent_calls_get_their_own_vectors(recorded: ClipTextEncoder) -> None:
    batches = [[f"{text}{number}" for text in TEXTS] for number in range(8)]
    expected = [vectors_of(recorded, batch) for batch in batches]
    with ThreadPoolExecutor(4) as callers:
        results = list(callers.map(lambda batch: vectors_of(recorded, batch), batches))
    np.testing.assert_array_equal(results, expected)


def test_each_shape_is_recorded_once_the_largest_first(tiny: "Sample") -> None:
    recordings: list[RepeatedWork] = []

    def record(work: Callable[[], None]) -> RepeatedWork:
        recordings.append(RepeatedWork(work))
        return recordings[-1]

    encoder = encoder_of(tiny)
    encoder.record(record)
    tokens = [shape.tokens for shape in graph_shapes(CONTEXT)]
    assert len(recordings) == len(set(graph_shapes(CONTEXT)))
    assert tokens == sorted(tokens, reverse=True)
    assert (tokens[0], tokens[-1]) == (4096, 8)
    before = [recording.replays for recording in recordings]
    vectors_of(encoder, ["裙"])
    assert [recording.replays for recording in recordings][:-1] == before[:-1]
    assert (before[-1], recordings[-1].replays) == (1, 2)


def refuse(_: Callable[[], None]) -> RepeatedWork:
    raise torch.OutOfMemoryError("CUDA out of memory.")


def record_nothing(_: Callable[[], None]) -> RepeatedWork:
    return RepeatedWork(lambda: None)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        pytest.param(refuse, "CUDA out of memory", id="cannot-be-recorded"),
        pytest.param(record_nothing, "gives other vectors", id="gives-wrong-vectors"),
    ],
)
def test_texts_are_encoded_without_graphs_when_recording_fails(
    tiny: "Sample",
    plain: ClipTextEncoder,
    record: Callable[[Callable[[], None]], RepeatedWork],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder = encoder_of(tiny)
    with caplog.at_level(logging.WARNING):
        encoder.record(record)
    assert not encoder.recorded
    assert [reason in message for message in caplog.messages] == [True]
    np.testing.assert_array_equal(vectors_of(encoder, TEXTS), vectors_of(plain, TEXTS))


def test_warming_up_without_a_gpu_records_nothing(tiny: "Sample", plain: ClipTextEncoder) -> None:
    encoder = encoder_of(tiny)
    encoder.warm_up()
    assert not encoder.recorded
    np.testing.assert_array_equal(vectors_of(encoder, TEXTS), vectors_of(plain, TEXTS))


@pytest.mark.parametrize(
    ("lengths", "passes"),
    [
        pytest.param([2], [([0], GraphShape(1, 8))], id="single-text"),
        pytest.param([8, 9], [([1, 0], GraphShape(2, 16))], id="padded-to-the-longest"),
        pytest.param([8, 8, 8], [([0, 1, 2], GraphShape(4, 8))], id="filled-up"),
        pytest.param([52], [([0], GraphShape(1, 52))], id="longest"),
        pytest.param([], [], id="no-texts"),
    ],
)
def test_texts_go_into_the_smallest_shape(
    lengths: list[int], passes: list[tuple[list[int], GraphShape]]
) -> None:
    planned = [
        (rows.tolist(), shape)
        for rows, shape in plan_passes(np.array(lengths, dtype=np.int64), CONTEXT)
    ]
    assert planned == passes


@given(st.lists(st.integers(1, 52), max_size=700))
def test_every_text_goes_into_one_pass_that_was_recorded(lengths: list[int]) -> None:
    passes = list(plan_passes(np.array(lengths, dtype=np.int64), CONTEXT))
    planned = [row for rows, _ in passes for row in rows.tolist()]
    assert sorted(planned) == list(range(len(lengths)))
    for rows, shape in passes:
        assert shape in graph_shapes(CONTEXT)
        assert len(rows) <= shape.texts < 2 * len(rows)
        assert max(lengths[row] for row in rows) <= shape.length


def test_recorded_work_stays_on_the_gpu(tiny: "Sample") -> None:
    """Fake tensors can be on a missing GPU; reading one of their numbers would fail."""
    tensors, gpu = read_tensors(tiny.path), torch.device("cuda", 0)
    with FakeTensorMode(allow_non_fake_inputs=True):
        reader = TensorReader(tensors, "text", gpu)
        tower = TextTower(reader, read_text_shape(tensors), torch.float16)
        ids = torch.ones((4, 16), dtype=torch.int64, device=gpu)
        with torch.inference_mode(), DeviceLog() as devices:
            vectors = tower(pack_padded(ids))
    assert (vectors.shape, vectors.dtype) == ((4, 48), torch.float32)
    assert devices.seen == {"cuda"}


@pytest.mark.gpu
def test_replays_on_a_gpu_give_the_same_vectors(
    tiny: "Sample", caplog: pytest.LogCaptureFixture
) -> None:
    weights = find_weights(str(tiny.path))
    encoder = ClipTextEncoder(resolve_encoder(weights, "text", "cuda", "fp32"))
    texts = [TEXTS[number % len(TEXTS)] + str(number) for number in range(1500)]
    before = vectors_of(encoder, texts)
    encoder.warm_up()
    assert (encoder.recorded, caplog.messages) == (True, [])
    np.testing.assert_allclose(vectors_of(encoder, texts), before, atol=1e-5)
    np.testing.assert_allclose(vectors_of(encoder, texts[:1]), before[:1], atol=1e-5)


@pytest.mark.gpu
def test_an_encoder_outlives_another_recorded_beside_it(tiny: "Sample") -> None:
    """Destroying a graph, as a reload does, frees memory that torch keeps by its stream."""
    weights = find_weights(str(tiny.path))
    old, new = (load_text_encoder(weights, "cuda") for _ in range(2))
    old.warm_up()
    new.warm_up()
    tokens = new.prepare(TEXTS)
    before = new.encode(tokens)
    del old
    torch.cuda.empty_cache()
    np.testing.assert_array_equal(new.encode(tokens), before)
