"""Networks of students: what they begin with, what they write, and which backends run them."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from tusou_lab.distil.network import SHAPES, NetworkShape, StudentNetwork
from tusou_lab.distil.train_network import distillation_loss, draw_batches

from tusou.core.hardware import is_x86
from tusou.encoders import find_weights, load_text_encoder, resolve_encoder
from tusou.encoders.architecture import TextShape
from tusou.encoders.checkpoint import read_weights
from tusou.encoders.families import find_family
from tusou.encoders.student.folder import open_tokenizer
from tusou.encoders.student.record import CHECKPOINT

TEXTS = ["红色连衣裙", "男士黑色皮鞋", "裙"]
SHAPE = NetworkShape(2, 64, 1e-3)


@pytest.fixture(scope="module")
def network() -> StudentNetwork:
    torch.manual_seed(0)
    ids = open_tokenizer().prepare(TEXTS).ids
    return StudentNetwork(SHAPE, 32, np.union1d([0], ids)).eval()


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_a_checkpoint_gives_the_vectors_of_the_network(
    network: StudentNetwork, tmp_path: Path, backend: str
) -> None:
    tokenizer = open_tokenizer()
    network.save(tmp_path, tokenizer.vocab_size)
    weights = find_weights(str(tmp_path / CHECKPOINT))
    encoder = load_text_encoder(weights, "cpu", None, "fp32", backend)
    tokens = encoder.prepare(TEXTS)
    with torch.no_grad():
        expected = network(torch.from_numpy(network.number(tokens.ids))).numpy()
    np.testing.assert_allclose(encoder.encode(tokens), expected, atol=2e-3)
    assert np.isfinite(encoder.encode(encoder.prepare(["鱻"]))).all()  # no text of the training


def test_openvino_computes_students_of_both_sizes(tmp_path: Path) -> None:
    backends = {}
    for size, shape in {"tiny": SHAPE, **SHAPES}.items():
        (tmp_path / size).mkdir()
        tokenizer = open_tokenizer()
        StudentNetwork(shape, 32, np.arange(2)).save(tmp_path / size, tokenizer.vocab_size)
        weights = find_weights(str(tmp_path / size / CHECKPOINT))
        backends[size] = resolve_encoder(weights, "text", "cpu").backend
    larger = "openvino" if is_x86() else "torch"
    assert backends == {"tiny": "torch", "small": larger, "medium": larger}


def test_it_begins_with_the_layers_of_a_teacher_of_its_width(
    network: StudentNetwork, tiny_model: Path
) -> None:
    weights = find_weights(str(tiny_model))
    shape, tensors = find_family(weights).read_shape(weights, "text"), read_weights(weights)
    assert isinstance(shape, TextShape)
    ids = open_tokenizer().prepare(TEXTS).ids
    tokens = np.union1d([0], ids)
    started = StudentNetwork(SHAPE, shape.embed_dim, tokens)
    assert started.start_from_tower(tensors, shape)
    words = tensors["bert.embeddings.word_embeddings.weight"].float()
    torch.testing.assert_close(
        started.bert.embeddings.word_embeddings.weight.detach(), words[torch.from_numpy(tokens)]
    )
    torch.testing.assert_close(started.text_projection.detach(), tensors["text_projection"].float())
    wider = StudentNetwork(NetworkShape(2, 128, 1e-3), shape.embed_dim, tokens)
    assert not wider.start_from_tower(tensors, shape)


def test_the_loss_is_zero_for_the_teacher_itself() -> None:
    drawn = torch.nn.functional.normalize(torch.randn(7, 16, generator=torch.manual_seed(1)))
    items = torch.nn.functional.normalize(torch.randn(20, 16, generator=torch.manual_seed(2)))
    assert float(distillation_loss(drawn, drawn, items)) == pytest.approx(0, abs=1e-5)
    assert float(distillation_loss(-drawn, drawn, items)) > 2


def test_batches_hold_texts_of_similar_length_and_all_of_them() -> None:
    rng = np.random.default_rng(3)
    lengths = rng.integers(3, 30, 500)
    batches = list(islice(draw_batches(lengths, rng), 64))
    spread = [np.ptp(lengths[rows]) for rows in batches]
    assert np.mean(spread) < 4 < np.ptp(lengths)
    counts = np.bincount(np.concatenate(batches), minlength=len(lengths))
    assert counts.min() > 0
    # Not from the shortest to the longest.
    means = [lengths[rows].mean() for rows in batches[:16]]
    assert means != sorted(means)
