"""Makes the toy judge: draws products, trains a small vision language model, and saves it."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random

import torch
from tusou_lab.evalset.domain import Domain

from benchmarks.toy_judge.examples import ExampleWriter
from benchmarks.toy_judge.network import make_network
from benchmarks.toy_judge.processor import make_processor
from benchmarks.toy_judge.training import Trainer, TrainingReport, TrainingSpec
from benchmarks.toy_judge.world import ToyItem, draw_items

_TEXTS = 3000  # from which the tokens of bytes are merged


def make_toy_judge(
    out: Path, domain: Domain, items: Sequence[ToyItem], spec: TrainingSpec
) -> TrainingReport:
    """Train a model on images of products and write it with its processor into a folder."""
    torch.manual_seed(spec.seed)
    draw = Random(spec.seed)
    writer = ExampleWriter(domain, draw)
    processor = make_processor(
        domain, [writer.write(draw.choice(items)).query for _ in range(_TEXTS)]
    )
    network = make_network(processor)
    report = Trainer(network, processor, domain, items, spec).train()
    network.save_pretrained(out)
    processor.save_pretrained(out)
    return report


def draw_training_items(count: int, workers: int) -> list[ToyItem]:
    """Draw products of the split `train`, in several processes."""
    each = -(-count // workers)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        parts = pool.map(partial(_draw_part, each), range(workers))
    return [item for part in parts for item in part][:count]


def _draw_part(count: int, number: int) -> Sequence[ToyItem]:
    return draw_items(count, "train", 101 + number)
