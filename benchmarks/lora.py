"""Cost and gain of fine-tuning all weights, all but a tower, or adapters (LoRA).

python -m benchmarks.lora [--queries N] [--epochs N] [--steps N]

Gain: the demo model is fine-tuned on hard drawn products and searches others, never seen, with
95 % intervals over the queries. Cost: steps of a ViT-B/16 with random weights, since memory and
time do not depend on them. Every training is a process of its own, whose peak of resident memory
counts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.toy.difficulty import HARD

from benchmarks.record import record
from benchmarks.stock import save_random_model

_MODES = {
    "all weights": [],
    "image tower frozen": ["--freeze", "vision"],
    "LoRA 8, attention": ["--lora", "8"],
    "LoRA 8, all layers": ["--lora", "8", "--lora-target", "all"],
}
_TUSOU = [sys.executable, "-m", "tusou"]
_STEP_PAIRS = 8


def main() -> None:
    """Measure every mode and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=4000, help="drawn queries to train on")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4, help="of a ViT-B/16")
    parser.add_argument("--save", action="store_true", help="write the result file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures: dict[str, object] = {
            "gain": _measure_gain(Path(folder), arguments.queries, arguments.epochs),
            "cost of a ViT-B/16": _measure_cost(Path(folder), arguments.steps),
        }
    record("lora", figures, save=arguments.save)


def _measure_gain(folder: Path, queries: int, epochs: int) -> dict[str, object]:
    data = folder / "hard"
    sizes = [
        SplitSize("train", queries, queries),
        SplitSize("valid", 500, 250),
        SplitSize("test", 2000, 1000),
    ]
    write_toy(data, sizes, 3, workers=2, difficulty=HARD)
    figures: dict[str, object] = {"before": _search(folder, "demo", "demo", data)}
    for number, (mode, options) in enumerate(_MODES.items()):
        out = folder / f"{number}.pt"
        # As many times the default as suits a model of this size; adapters take more by default.
        rate = ["--lr", "0.005" if "--lora" in options else "0.0005"]
        settings = [*options, *rate, "--epochs", str(epochs), "--weight-decay", "0.05"]
        cost = _train(data, "demo", out, settings)
        figures[mode] = {**cost, **_search(folder, str(number), str(out), data)}
    return figures


def _search(folder: Path, name: str, model: str, data: Path) -> dict[str, object]:
    bundle = folder / f"bundle-{name}"
    _run("index", data / "MR_test_imgs.tsv", "--out", bundle, "--model", model, "--index", "Flat")
    judged = _run("evaluate", bundle, "--answers", data / "MR_test_queries.jsonl", "--json")
    scores = json.loads(judged)
    return {
        "mean_recall": round(scores["percent"]["mean_recall"], 2),
        "interval": [round(end, 2) for end in scores["interval"]["mean_recall"]],
    }


def _measure_cost(folder: Path, steps: int) -> dict[str, object]:
    data, model = folder / "steps", folder / "vit-b-16.pt"
    pairs = steps * _STEP_PAIRS
    write_toy(data, [SplitSize("train", pairs, pairs), SplitSize("valid", 12, 4)], 3)
    save_random_model(model)
    figures: dict[str, object] = {"pairs of a step": _STEP_PAIRS}
    for number, (mode, options) in enumerate(_MODES.items()):
        settings = [*options, "--epochs", "1", "--batch-size", str(_STEP_PAIRS)]
        figures[mode] = _train(data, str(model), folder / f"steps-{number}.pt", settings)
    return figures


def _train(data: Path, model: str, out: Path, options: list[str]) -> dict[str, object]:
    words = ["train", str(data), "--model", model, "--out", str(out), "--device", "cpu", *options]
    started = perf_counter()
    process = subprocess.Popen(
        [*_TUSOU, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = perf_counter() - started
    if status:
        raise SystemExit(f"tusou train ended with {os.waitstatus_to_exitcode(status)}")
    saved = json.loads(out.with_name(f"{out.name}.json").read_text("utf-8"))
    return {
        "trained parameters": saved["settings"]["trained_parameters"],
        "minutes": round(seconds / 60, 2),
        "processor minutes": round((usage.ru_utime + usage.ru_stime) / 60, 2),
        "peak memory in MB": round(usage.ru_maxrss / 1024),
    }


def _run(*words: object) -> str:
    command = [*_TUSOU, *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
