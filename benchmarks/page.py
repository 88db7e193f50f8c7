"""Writes docs/performance.md and its plot from what `make bench` recorded.

python -m benchmarks.page
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu import GOALS as GPU_GOALS
from benchmarks.page_encoders import encoder_sections
from benchmarks.page_project import project_section
from benchmarks.performance import NOT_MEASURED, PARTS
from benchmarks.record import RESULTS

DOCS = Path(__file__).parent.parent / "docs"
PLOT = "performance.svg"

Part = dict[str, Any]
Row = tuple[str, str, str, float]  # task, stock, Tusou, speedup

# Goals as speedups on two cores with AMX.
GOALS = {
    "text, batch 1": 6,
    "text, batch 32": 25,
    "images, 224 px": 4.7,
    "text, batch 1, int8": 12,
    "text, batch 32, int8": 40,
    "images, 224 px, int8": 5.5,
    "search, 30k x 512, batch 1": 20,
    "search, 30k x 512, batch 256": 2.5,
    "HTTP, 1 clients, p50": 6,
    "HTTP, 32 clients, queries/s": 25,
    "HTTP, 32 clients, p99": 10,
}

# Reasons why a goal can be missed.
_LIMITS = {
    "text, batch 1, int8": "a single text reads all weights once, which in int8 are half as many "
    "bytes as in bf16; the work between the products is the same",
    "text, batch 32, int8": "scales, attention and norms stay in float32, a larger share the "
    "faster the products are",
    "HTTP, 32 clients, queries/s": "the cores that encode also handle HTTP and run the clients; at "
    "the measured matrix rate, encoding alone would allow about twice as many",
}

_TEXT = """# Performance

Written by `python -m benchmarks.page` from `benchmarks/results/`, which `make bench` fills
(`make bench QUICK=--quick` in about three minutes, less precisely). Do not edit by hand.

{when}: {machine}. Mode: {mode}. {note}

Each part runs stock `cn_clip` and Tusou in turn in one process; figures are medians. The model is
a ViT-B/16 with random weights in cn_clip's format, because speed does not depend on the weights.
*Stock* is cn_clip as its examples use it, with `OPENBLAS_NUM_THREADS=1`: otherwise numpy's and
torch's threads compete, and its time can double. Vectors are *structured* like real embeddings:
one cone, a thousand clusters, few dominant directions. *Speedup* is stock's time over Tusou's.

| task | stock | Tusou | speedup | goal |
|---|---|---|---|---|
{rows}

![speedup over stock]({plot})

{missed}

| the service, with the text tower and 30,000 vectors | measured | goal |
|---|---|---|
| start to ready, s | {ready} | 8 |
| the first start, which converts the weights, s | {first_ready} | |
| memory when ready, MB | {memory} | 1000 |
| memory after the load, MB | {memory_after} | 1000 |

{project}
## The limits of the machine

| | |
|---|---|
{floor}

| task | lower bound | Tusou | ratio |
|---|---|---|---|
{distances}

A single text reads all 85 million weights once; a batch is limited by the rate of matrix
products. The lower bounds are those of the text and image towers alone, at the higher of the two
measured rates. They were measured separately and therefore under a different load.

## Notes

* **Backend and precision** are {backend} and {precision}. The lowest cosine to stock was
  {cosine}.
* **The index** that `auto` took for 30,000 vectors is `{index}`, with an index_recall@10 of
  {recall} on fresh queries. HTTP: `{http_index}`; the model's last projection is fitted so that
  texts are near the vectors, as in a trained model (`benchmarks/text_projection.py`).
* **Search** is measured twice: as a stream of searches, and with CPU caches filled with other
  data.
* **HTTP** compares the service with `benchmarks/plain_service.py` (FastAPI, stock cn_clip, one
  query at a time, IndexFlatIP) over 30,000 vectors. Clients work in a closed loop and share the
  cores with the service. The query cache is off.
* **Not measured in this run**: {left_out}.
* **Threads**: only one thread of a process shares its passes among the cores, for stock as well
  as for Tusou (`tusou/encoders/torch/cpu_threads.py`). Two of them slow each other down, because
  OpenMP's threads then sleep after every product. The turns are separated, so that no threads of
  one spin during a turn of the other.

{encoders}
## What `auto` measured

The curve is in every bundle (`tusou info --json`). Among the indexes that reach the target,
`auto` takes the one whose search reads the fewest bytes.

{curves}

## On a GPU

{gpu}
"""

_SEARCHES = ("search, 30k x 512", "search, 1M x 512")

_NO_GPU = """\
No CUDA machine has run this yet: fp16, CUDA graphs, copies from page-locked memory, the index in
torch and the script that measures them are tested on a CPU as far as possible. On a machine with
a CUDA device, `make bench-gpu` measures in less than eight minutes: 30,000 images to a published
bundle, the image tower against the device's measured matrix rate, texts with and without CUDA
graphs, single queries and batches in process, HTTP with 1 to 256 clients, and FAISS's `Flat` and
IVF beside `torch`. Run `pytest -m gpu` before it. Its goals: {goals}."""


def main() -> None:
    """Write the page and its plot."""
    result: Part = json.loads((RESULTS / "performance.json").read_text(encoding="utf-8"))
    figures: Part = result["figures"]
    parts = {name: part for name, part in figures.items() if NOT_MEASURED not in part}
    rows = comparison_rows(parts)
    search, http = parts.get("search, 30k x 512", {}), parts.get("http", {})
    texts = parts.get("texts", {})
    cosines = [
        batch["lowest cosine to stock"]["tusou"]
        for batch in texts.values()
        if isinstance(batch, dict)
    ]
    page = _TEXT.format(
        when=f"{result['date']}, {parts['begun']}",
        machine=result["machine"],
        mode=parts["mode"],
        note=f"{parts['note']} {_start_times(parts)}".strip(),
        rows="\n".join(_table_row(row) for row in rows),
        plot=PLOT,
        missed=_missed_goals(rows),
        floor="\n".join(f"| {name} | {value} |" for name, value in parts.get("floor", {}).items()),
        distances="\n".join(_lower_bounds(parts)),
        backend=texts.get("default backend", "not measured"),
        precision=texts.get("default precision", "not measured"),
        cosine=min(cosines, default="not measured"),
        index=search.get("auto", "not measured"),
        recall=search.get("index_recall@10 on fresh queries", "not measured"),
        http_index=http.get("index", "not measured"),
        ready=http.get("tusou start to ready, s", "not measured"),
        first_ready=http.get("tusou first start to ready, s", "not measured"),
        memory=http.get("tusou memory, MB", "not measured"),
        memory_after=http.get("tusou memory after, MB", "not measured"),
        project=project_section(),
        encoders=encoder_sections(),
        curves="\n\n".join(_recall_curve(name, parts.get(name, {})) for name in _SEARCHES),
        gpu=_gpu_section(),
        left_out="; ".join(_left_out(figures)) or "nothing",
    )
    (DOCS / "performance.md").write_text(page, encoding="utf-8")
    (DOCS / PLOT).write_text(plot(rows), encoding="utf-8")


def _left_out(figures: Part) -> Iterator[str]:
    """Yield the parts that are not measured, with the reason if they were tried."""
    for name in PARTS:
        reason = figures.get(name, {}).get(NOT_MEASURED)
        if reason:
            yield f"{name} ({reason})"
        elif name not in figures:
            yield name


def _start_times(parts: Part) -> str:
    """Return when each part was started; parts can be measured on different days."""
    measured = [name for name in PARTS if "begun" in parts.get(name, {})]
    times = ", ".join(f"{name} at {parts[name]['begun']}" for name in measured)
    return f"Start of each part: {times}." if measured else ""


def _missed_goals(rows: list[Row]) -> str:
    """Return a list of the goals that were missed, with the reasons."""
    missed = [
        f"* {task}, {speedup:g} of {GOALS[task]}: {_LIMITS.get(task, 'not explained yet')}."
        for task, _, _, speedup in rows
        if speedup < GOALS.get(task, 0)
    ]
    return "\n".join(["Goals missed:", "", *missed]) if missed else "All goals are reached."


def _lower_bounds(parts: Part) -> Iterator[str]:
    """Yield table rows that compare measured times with the lower bounds of the machine."""
    measured = {
        "text of 8 tokens, alone, ms": ("texts", "batch 1"),
        "text of 8 tokens, in batches, ms": ("texts", "batch 256"),
        "image, ms": ("images", "224 px"),
    }
    for name, (part, batch) in measured.items():
        floor, ours = (
            parts.get("floor", {}).get(name),
            parts.get(part, {}).get(batch, {}).get("tusou"),
        )
        if floor and ours:
            each = ours["ms_each"]
            yield f"| {name} | {floor} | {each:.2f} | {each / floor:.2f} |"


def _recall_curve(name: str, search: Part) -> str:
    """Return a table of the index trials for one pool."""
    trials = search.get("trials")
    if not isinstance(trials, list):  # older results hold only their number
        return f"{name}: not measured."
    rows = [
        f"| `{trial['factory']}` | {trial['tuning']} | {trial['index_recall_at_10']:.4f} |"
        for trial in trials
    ]
    recall, seconds = search["index_recall@10 on fresh queries"], search["built in, s"]
    head = f"{name}: `{search['auto']}`, {recall:g} on fresh queries, built in {seconds} s"
    return "\n".join([head, "", "| index | parameters | index_recall@10 |", "|---|---|---|", *rows])


def _gpu_section() -> str:
    """Return the results of `make bench-gpu`, or that there are none."""
    recorded = RESULTS / "gpu.json"
    if recorded.exists():
        return f"```json\n{recorded.read_text(encoding='utf-8')}```"
    return _NO_GPU.format(goals="; ".join(f"{what}: {goal}" for what, goal in GPU_GOALS.items()))


def comparison_rows(parts: Part) -> list[Row]:
    """Return a row for every comparison with stock."""
    rows = []
    for part, baseline in (("texts", "stock"), ("images", "stock")):
        for name, times in parts.get(part, {}).items():
            if isinstance(times, dict):
                label = "text" if part == "texts" else part
                rows.append(_time_row(f"{label}, {name}", times, baseline))
                if "tusou, int8" in times:
                    rows.append(_time_row(f"{label}, {name}, int8", times, baseline, "tusou, int8"))
    for part in _SEARCHES:
        for name, times in parts.get(part, {}).items():
            if isinstance(times, dict):
                rows.append(_time_row(f"{part}, {name}", times, "IndexFlatIP"))
    for name, times in parts.get("http", {}).items():
        if isinstance(times, dict):
            rows += _http_rows(f"HTTP, {name}", times)
    return rows


def _time_row(label: str, times: Part, baseline: str, variant: str = "tusou") -> Row:
    stock, ours = times[baseline], times[variant]
    units = "ms" if label.startswith("search") else "ms each"
    return (
        label,
        f"{stock['ms_each']:g} {units}",
        f"{ours['ms_each']:g} {units}",
        ours["times_faster"],
    )


def _http_rows(label: str, times: Part) -> list[Row]:
    stock, ours = times["plain"], times["tusou"]
    rate = f"{stock['queries_per_s']:g}", f"{ours['queries_per_s']:g}"
    rows: list[Row] = [
        (f"{label}, queries/s", *rate, _ratio(ours["queries_per_s"], stock["queries_per_s"]))
    ]
    for name in ("p50", "p99"):
        slow, fast = stock.get(f"{name}_ms"), ours.get(f"{name}_ms")
        if slow is None or fast is None:  # fewer than two answers
            continue
        rows.append((f"{label}, {name}", f"{slow:g} ms", f"{fast:g} ms", _ratio(slow, fast)))
    return rows


def _ratio(numerator: float, denominator: float) -> float:
    return round(numerator / denominator, 1) if denominator else 0.0


def _table_row(row: Row) -> str:
    task, stock, ours, speedup = row
    return f"| {task} | {stock} | {ours} | {speedup:g} | {GOALS.get(task, '')} |"


def plot(rows: list[Row]) -> str:
    """Return an SVG with one bar per row, as long as the speedup."""
    most, height = max(row[3] for row in rows), 22
    bars = []
    for number, (task, _, _, speedup) in enumerate(rows):
        y, length = number * height + 10, 380 * speedup / most
        bars.append(
            f'<text x="250" y="{y + 14}" text-anchor="end">{task}</text>'
            f'<rect x="260" y="{y + 2}" width="{length:.1f}" height="16" fill="#2a6f97"/>'
            f'<text x="{266 + length:.1f}" y="{y + 14}">{speedup:g}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{len(rows) * height + 20}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        + "\n".join(bars)
        + "</svg>\n"
    )


if __name__ == "__main__":
    main()
