"""The section of the performance page about the project itself: start, demo, robustness."""

import json
from collections.abc import Callable
from typing import Any

from benchmarks.record import RESULTS

Part = dict[str, Any]

_SECTION = """\
## The project itself

| what | command | measured | goal |
|---|---|---|---|
{rows}
"""


def project_section() -> str:
    """Return the section, with a row for every recorded result; empty without any."""
    rows = [_row(*row) for row in _ROWS if (RESULTS / f"{row[0]}.json").exists()]
    return _SECTION.format(rows="\n".join(rows)) if rows else ""


def _row(name: str, what: str, show: Callable[[Part], str], goal: str) -> str:
    result: Part = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    figures = result["figures"]
    return f"| {what.format(**figures)} | `{result['command']}` | {show(figures)} | {goal} |"


def _demo(figures: Part) -> str:
    return f"{figures['wall_s']} s"


def _startup(figures: Part) -> str:
    seconds, memory = figures["start to ready, s, median"], figures["idle memory, MB, median"]
    return f"{seconds} s, {memory} MB"


def _mean_recall(figures: Part) -> str:
    percent, held_out = figures["percent"], figures["held_out_percent"]
    return f"{percent['mean_recall']} %; on held-out combinations {held_out['mean_recall']} %"


def _hit_at_1(figures: Part) -> str:
    return f"{figures['percent']['hit@1']} %"


def _hostile(figures: Part) -> str:
    bodies = figures["the 35"]
    return f"{bodies['5xx']}, {bodies['largest error, bytes']} bytes"


def _kill_resume(figures: Part) -> str:
    return f"{figures['builds_that_differ']}"


def _bad_images(figures: Part) -> str:
    wrong = figures["skipped but good"] + figures["planted but taken"]
    rise = figures["peak memory, rise by the planted, MB"]
    return f"{wrong}, {figures['crashes of decoders, mutated images']}, {rise} MB"


def _corrupt_bundles(figures: Part) -> str:
    return f"{figures['damages_unnoticed']}, {figures['tracebacks_or_crashes']}"


def _reload(figures: Part) -> str:
    return f"{figures['failed'] + figures['mixed']}"


# The file of the result, a label with fields of its figures, the measured values, and the goal.
_ROWS: list[tuple[str, str, Callable[[Part], str], str]] = [
    ("demo", "`make demo`, installed: 3,000 items, 300 queries, all over HTTP", _demo, "60 s"),
    (
        "startup",
        "service with the demo bundle: start to ready, idle memory",
        _startup,
        "8 s, 700 MB",
    ),
    (
        "demo_model_test_3000",
        "demo model on products that it has never seen, 3,000 queries: mean_recall",
        _mean_recall,
        "85 %",
    ),
    ("photos_clothing_demo", "demo model on real photos: hit@1", _hit_at_1, ""),
    ("photos_clothing_tuned", "the same after fine-tuning: hit@1", _hit_at_1, "a gain"),
    ("hostile", "35 hostile bodies: 5xx responses, largest error", _hostile, "0, 2 KiB"),
    (
        "kill_resume",
        (
            "index build killed at {kills} random moments, and failing at {faults} disk calls: "
            "differing builds"
        ),
        _kill_resume,
        "0",
    ),
    (
        "bad_images",
        (
            "{images} images, {planted} of them damaged or hostile: taken or skipped wrongly, "
            "decoders lost, rise of the peak memory"
        ),
        _bad_images,
        "0, 0, 256 MB",
    ),
    (
        "corrupt_bundles",
        (
            "{damages} damaged and {forgeries} forged bundles: damages unnoticed, tracebacks or "
            "crashes"
        ),
        _corrupt_bundles,
        "0, 0",
    ),
    (
        "swaps",
        "{reloads} reloads under {clients} clients: failed or mixed responses",
        _reload,
        "0",
    ),
]
