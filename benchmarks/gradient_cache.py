"""Largest batch of a ViT-B/16 in a given memory, plain and with cached gradients.

python -m benchmarks.gradient_cache [--gigabytes N] [--times N] [--save]

Each step runs in a process of its own, forked after the imports, whose peak of resident memory
counts. The weights are random, since memory does not depend on them; the pairs are drawn products.
The plain batch grows until it no longer fits; with cached gradients a batch `--times` as large is
encoded in parts of 2. The gradients of both are compared at a batch that fits either way.
"""

import argparse
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from tusou_lab.toy.products import draw_scene
from tusou_lab.toy.queries import write_captions
from tusou_lab.toy.scene import draw_image
from tusou_lab.train.batches import TrainingBatch
from tusou_lab.train.losses.softmax import multi_positive_loss
from tusou_lab.train.models import TrainableModel, open_trainable
from tusou_lab.train.optimiser import make_optimiser
from tusou_lab.train.processes import Processes
from tusou_lab.train.step import StepInputs, TrainingStep
from tusou_lab.train.step_spec import StepSpec
from tusou_lab.train.updater import LossScale, Updater

from benchmarks.forked import PEAK, measure_in_process
from benchmarks.record import record
from benchmarks.stock import save_random_model

_CPU = torch.device("cpu")
_PARTS = 2
_SEED = 1


def main() -> None:
    """Measure both, and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--times", type=int, default=8, help="the plain batch, with the cache")
    parser.add_argument("--save", action="store_true", help="write the result file")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        model = Path(folder) / "vit-b-16.pt"
        measure_in_process(partial(_save, model))
        figures: dict[str, object] = {"gigabytes": arguments.gigabytes}
        figures |= _compare_batches(model, arguments.gigabytes, arguments.times)
        difference = measure_in_process(partial(_compare_gradients, model))
        figures["difference of gradients"] = difference["difference"]
    record("gradient_cache", figures, save=arguments.save)


def _save(path: Path) -> dict[str, object]:
    save_random_model(path)
    return {}


def _compare_batches(model: Path, gigabytes: float, times: int) -> dict[str, object]:
    plain, largest = {}, 0
    for size in range(2, 64):
        step = measure_in_process(partial(_step, model, size, 0))
        plain[str(size)] = step
        if float(str(step[PEAK])) > 1024 * gigabytes:
            break
        largest = size
    if not largest:
        raise SystemExit(f"a batch of 2 takes more than {gigabytes} GB")
    cached = measure_in_process(partial(_step, model, times * largest, _PARTS))
    return {
        "plain, by batch": plain,
        "largest plain batch": largest,
        "cached batch": times * largest,
        "in parts of": _PARTS,
        "cached": cached,
        "fits": float(str(cached[PEAK])) <= 1024 * gigabytes,
    }


def _step(model: Path, size: int, chunk: int) -> dict[str, object]:
    opened, step = _open(model, chunk, still=False)
    step([_inputs(opened, 2)])  # takes the optimiser's memory
    step([_inputs(opened, size)])
    return {"batch": size}


def _compare_gradients(model: Path) -> dict[str, object]:
    """Return the largest difference of a gradient, as a share of the largest gradient."""
    taken = []
    for chunk in (0, _PARTS):
        opened, step = _open(model, chunk, still=True)
        step([_inputs(opened, 8)])
        taken.append([p.grad for p in opened.network.parameters() if p.grad is not None])
    pairs = list(zip(*taken, strict=True))
    largest = max(float(plain.abs().max()) for plain, _ in pairs)
    difference = max(float((plain - cached).abs().max()) for plain, cached in pairs)
    return {"difference": difference / largest}


def _open(
    path: Path, chunk: int, *, still: bool
) -> tuple[TrainableModel, Callable[[list[StepInputs]], float]]:
    model = open_trainable(str(path))
    model.network.train(not still)  # without dropout, the gradients can be compared
    optimiser = make_optimiser(model.network, 5e-5, 0.001, transformer=True)
    scale = LossScale(_CPU, enabled=False)
    updater = Updater(model.network, optimiser, scale, None, Processes())
    spec = StepSpec(grad_cache=chunk)
    return model, TrainingStep(model, multi_positive_loss, updater, spec, "fp32", Processes())


def _inputs(model: TrainableModel, size: int) -> StepInputs:
    scenes = [draw_scene(_SEED, "train", index) for index in range(size)]
    images = [Image.open(BytesIO(draw_image(products, rng))) for products, rng in scenes]
    side = model.traits.transform.side
    pixels = np.stack([np.asarray(image.convert("RGB").resize((side, side))) for image in images])
    captions = write_captions([products for products, _ in scenes], "train", _SEED)
    tokens = model.tokenize([caption.text for caption in captions[:size]]).ids
    rows = np.arange(size)
    correct = np.eye(size, dtype=np.bool_)
    return StepInputs.move(TrainingBatch(pixels, tokens, correct, rows, rows, 0), _CPU)


if __name__ == "__main__":
    main()
