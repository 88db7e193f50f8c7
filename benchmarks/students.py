"""Students beside their teacher: time of a lone query, what they retain, queries per second.

    python -m benchmarks.students speed
    python -m benchmarks.students http
    python -m benchmarks.students retention BUNDLE QUERIES [ANSWERS] [--other BUNDLE ANSWERS] \
        [--log QUERIES]

The teacher of `speed` and `http` is a ViT-B/16 with random weights: speed does not depend on them.
`retention` takes any bundle, the queries to learn from, and judged ones, which are not learnt.
--other is a bundle of the same teacher whose judged queries are learnt if they are among QUERIES or
in its log, --log.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from tusou_lab.distil.network import SHAPES, StudentNetwork

from benchmarks.http import ENVIRONMENT, drive, make_bundle
from benchmarks.record import record
from benchmarks.running import service
from benchmarks.stock import queries, save_random_model
from benchmarks.text_projection import fit_text_projection
from tusou.encoders import TextEncoder, find_weights, load_text_encoder
from tusou.encoders.student.folder import open_tokenizer
from tusou.encoders.student.record import CHECKPOINT, RECORD
from tusou.encoders.student.table import TableEncoder, TokenTable, end_tokens, pair_keys

TUSOU = [sys.executable, "-m", "tusou"]
DIM = 512
TEXTS, ROUNDS = 20, 7
CLIENTS, HTTP_ROUNDS = 32, 3


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("speed")
    http = commands.add_parser("http")
    http.add_argument("--seconds", type=float, default=8)
    retention = commands.add_parser("retention")
    retention.add_argument("bundle", type=Path)
    retention.add_argument("queries", type=Path)
    retention.add_argument("answers", type=Path, nargs="?")
    retention.add_argument("--other", type=Path, nargs=2)
    retention.add_argument("--log", type=Path)
    retention.add_argument("--sizes", nargs="+", default=["table", "small"])
    retention.add_argument("--steps", type=int, default=3000)
    retention.add_argument("--folder", type=Path, help="keeps the students; not distilled again")
    arguments = parser.parse_args()
    measures: dict[str, Callable[[], dict[str, object]]] = {
        "speed": measure_speed,
        "http": lambda: measure_http(arguments.seconds),
        "retention": lambda: measure_retention(arguments),
    }
    figures = measures[arguments.command]()
    record("students", figures, file_name=f"students_{arguments.command}{_suffix(arguments)}")


def _suffix(arguments: argparse.Namespace) -> str:
    if arguments.command != "retention":
        return ""
    if not arguments.answers:
        return f"_{arguments.bundle.name}"
    return "_with_log" if arguments.log else ""


def measure_speed() -> dict[str, object]:
    """Time the text stage of lone queries on one core, the encoders in turn."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    texts = queries(TEXTS)
    with tempfile.TemporaryDirectory() as name:
        encoders = _encoders(Path(name))
        for encoder in encoders.values():
            encoder.warm_up()
            _time(encoder, texts)
        rounds = [
            {name: _time(encoder, texts) for name, encoder in encoders.items()}
            for _ in range(ROUNDS)
        ]
    medians = {name: float(np.median([each[name] for each in rounds])) for name in encoders}
    shares = {
        name: float(np.median([each[name] / each["teacher"] for each in rounds]))
        for name in encoders
        if name != "teacher"
    }
    return {
        "texts": TEXTS,
        "rounds": ROUNDS,
        "computed by": {
            name: f"{encoder.backend} {encoder.precision}" for name, encoder in encoders.items()
        },
        "median of a text, us of the core": {
            name: round(1e6 * each, 1) for name, each in medians.items()
        },
        "share of the teacher's time": {name: round(each, 4) for name, each in shares.items()},
    }


def _encoders(folder: Path) -> dict[str, TextEncoder]:
    model, tokenizer = folder / "vit-b-16.pt", open_tokenizer()
    save_random_model(model)
    ids = tokenizer.prepare(queries(2000)).ids
    tokens, pairs = np.unique(ids), np.unique(pair_keys(ids))
    tokens = tokens[~np.isin(tokens, (0, *end_tokens(tokenizer)))]
    pairs = pairs[pairs > 0]
    drawn = np.random.default_rng(0).normal(size=(1 + len(tokens) + len(pairs), DIM))
    table = TokenTable(tokens, pairs, drawn.astype(np.float16), np.ones(DIM, np.float32), 0.5)
    encoders: dict[str, TextEncoder] = {
        "teacher": load_text_encoder(find_weights(str(model)), "cpu"),
        "table": TableEncoder(table, tokenizer),
    }
    for size, shape in SHAPES.items():
        path = folder / size
        path.mkdir()
        network = StudentNetwork(shape, DIM, np.union1d([0], ids))
        network.save(path, tokenizer.vocab_size)
        encoders[size] = load_text_encoder(find_weights(str(path / CHECKPOINT)), "cpu")
    return encoders


def _time(encoder: TextEncoder, texts: list[str]) -> float:
    """Return the median of a text alone, tokens and vector, in seconds of the core.

    What other programs take of a busy core does not count.
    """
    seconds = []
    for text in texts:
        started = process_time()
        encoder.encode(encoder.prepare([text]))
        seconds.append(process_time() - started)
    return float(np.median(seconds))


def measure_http(seconds: float) -> dict[str, object]:
    """Load a service with the teacher and one with a small student, in turn."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        model, log, student = folder / "vit-b-16.pt", folder / "log.txt", folder / "student"
        save_random_model(model)
        fit_text_projection(model)
        bundle = make_bundle(folder, model)
        log.write_text("\n".join(queries(200)) + "\n")
        options = ["--size", "small", "--steps", "1", "--composed", "0"]  # for its speed alone
        _tusou("distil", bundle, "--queries", log, "--out", student, *options, "--json")
        shared = {"TUSOU_TIMEOUT_MS": "30000", **ENVIRONMENT}
        services = {
            "teacher": stack.enter_context(service(bundle, **shared)),
            "small": stack.enter_context(
                service(bundle, TUSOU_QUERY_ENCODER=str(student), **shared)
            ),
        }
        rounds = [
            {name: drive(running, CLIENTS, seconds) for name, running in services.items()}
            for _ in range(HTTP_ROUNDS)
        ]
    keys = ("queries_per_s", "p50_ms", "p99_ms")
    return {
        "clients": CLIENTS,
        "rounds of seconds": seconds,
        "rounds": rounds,
        "small beside the teacher": {
            key: round(float(np.median([r["small"][key] / r["teacher"][key] for r in rounds])), 3)
            for key in keys
        },
    }


def measure_retention(arguments: argparse.Namespace) -> dict[str, object]:
    """Distil each size, and measure it on both bundles."""
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        for size in arguments.sizes:
            student = folder / size
            if not student.exists():
                steps = [] if size == "table" else ["--steps", arguments.steps]
                _tusou(
                    *("distil", arguments.bundle, "--queries", arguments.queries),
                    *(["--queries", arguments.log] if arguments.log else []),
                    *(["--answers", arguments.answers] if arguments.answers else []),
                    *("--size", size, "--out", student, *steps),
                    *("--cache", folder / "cache", "--json"),
                )
            made = json.loads((student / RECORD).read_text())
            figures[size] = {key: made[key] for key in ("training", "retention")}
            if arguments.other:
                bundle, answers = arguments.other
                figures[f"{size} elsewhere"] = _compare(bundle, answers, student)
    return figures


def _compare(bundle: Path, answers: Path, student: Path) -> Mapping[str, object]:
    """Return the mean_recall of both encoders on another bundle, in percent."""
    scored = {
        name: _tusou("evaluate", bundle, "--answers", answers, *options, "--json")
        for name, options in (("teacher", []), ("student", ["--query-encoder", student]))
    }
    percent = {name: each["percent"]["mean_recall"] for name, each in scored.items()}
    intervals = {
        f"{name}, 95 % interval": each["interval"]["mean_recall"] for name, each in scored.items()
    }
    return {
        "data": f"{answers.parent.name}/{answers.name}",
        "queries": scored["teacher"]["queries"],
        **percent,
        **intervals,
        "retained": percent["student"] / percent["teacher"],
    }


def _tusou(*arguments: object) -> dict[str, Any]:
    command = [*TUSOU, *map(str, arguments)]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    result: dict[str, Any] = json.loads(process.stdout)
    return result


if __name__ == "__main__":
    main()
