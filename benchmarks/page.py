"""Writes docs/performance.md and its plot from what `make bench` recorded.

python -m benchmarks.page
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu import GOALS as GPU_GOALS
from benchmarks.page_encoders import encoder_sections
from benchmarks.performance import PARTS
from benchmarks.record import RESULTS

DOCS = Path(__file__).parent.parent / "docs"
PLOT = "performance.svg"

Part = dict[str, Any]
Row = tuple[str, str, str, float]  # what, theirs, ours, how many times

# What we set out to reach, as ratios on two cores with AMX.
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

# Why these can fall short, where they do.
_LIMITS = {
    "text, batch 1, int8": "a lone text reads all weights once, and in int8 they are half as many "
    "bytes as in bf16; what lies between the products is the same",
    "text, batch 32, int8": "scales, attention and norms stay in float32, and weigh more the "
    "faster the products are",
    "HTTP, 32 clients, queries/s": "the cores that encode also read and write HTTP and run the "
    "clients; at the measured matrix rate encoding alone would allow about twice as many",
}

_TEXT = """# Performance

Made by `python -m benchmarks.page` from `benchmarks/results/performance.json`, which `make bench`
writes (`make bench QUICK=--quick` in a rough three minutes). Do not edit by hand.

{when}: {machine}. Mode: {mode}. {note}

Every part runs stock and ours in turn in one process, and the figures are medians. The model is a
ViT-B/16 with random weights in cn_clip's format, for speed does not depend on the weights. *Stock*
is cn_clip as its examples use it, with `OPENBLAS_NUM_THREADS=1`, without which numpy's threads and
torch's spin against each other and its time can double. Vectors are *structured*: one cone, a
thousand clusters, few strong directions, as embeddings are. *Times* is theirs over ours.

| what | theirs | ours | times | goal |
|---|---|---|---|---|
{rows}

![times faster than stock]({plot})

{missed}

| the service, with the text tower and 30,000 vectors | reached | goal |
|---|---|---|
| start to ready, s | {ready} | 8 |
| the very first start, which converts the weights, s | {first_ready} | |
| memory when ready, MB | {memory} | 1000 |
| memory after the load, MB | {memory_after} | 1000 |

## What the machine allows

| | |
|---|---|
{floor}

| work | floor | ours | of the floor |
|---|---|---|---|
{distances}

A lone text reads all 85 million weights once; a batch is limited by the matrix rate. These are
floors of the text and image towers alone, at the higher of the two matrix rates, measured
separately and therefore not at the same load.

## What to know about these figures

* **Backend and precision** are {backend} and {precision}. The lowest cosine to stock was {cosine}.
* **The index** that `auto` took for 30,000 vectors is `{index}`, its index_recall@10 on fresh
  queries {recall}. HTTP: `{http_index}`; the model's last projection is fitted so that texts land
  among the vectors, as a trained model's do (`benchmarks/landing.py`).
* **Search** comes twice: as a stream of searches, and with caches that another's data has filled.
* **HTTP** goes to our service and to `benchmarks/plain_service.py` (FastAPI, stock cn_clip, a query
  at a time, IndexFlatIP) over 30,000 vectors, from clients that ask again as soon as they are
  answered and share the cores with the service. Query cache off.
* **Not measured in this run**: {left_out}.
* **Threads**: torch shares its passes among the cores in one thread of a process alone, stock's as
  well as ours (`tusou/encoders/torch/cpu_threads.py`): two such threads slow each other down, for
  OpenMP's threads then sleep after every product. Turns are apart, so that nobody's threads spin in
  another's turn.

{encoders}
## What `auto` measured on its way

The curve is in every bundle (`tusou info --json`). The index that was taken is the one whose search
reads least among those that reach the target.

{curves}

## On a GPU

{gpu}
"""

_SEARCHES = ("search, 30k x 512", "search, 1M x 512")

_NO_GPU = """\
No CUDA machine has run any of this: the fp16 path, CUDA graphs, copies from page-locked memory,
the index in torch and the script that measures them are tested on a CPU as far as one can.
`make bench-gpu` measures, on a machine that has a CUDA device, in less than eight minutes and from
nothing but the repository: a pool of 30,000 images to a published bundle, the image tower against
the device's measured matrix rate, texts with and without CUDA graphs, a query alone and calls of
many in process, in one go on the device and by way of the host, HTTP at 1 to 256 clients by one
process and by four, and FAISS's `Flat` and IVF beside `torch`. Run `pytest -m gpu` before it.
Its goals: {goals}."""


def main() -> None:
    """Write the page and its plot."""
    result: Part = json.loads((RESULTS / "performance.json").read_text(encoding="utf-8"))
    parts: Part = result["figures"]
    rows = rows_of(parts)
    search, http = parts.get("search, 30k x 512", {}), parts.get("http", {})
    texts = parts["texts"]
    cosines = [
        batch["lowest cosine to stock"]["tusou"]
        for batch in texts.values()
        if isinstance(batch, dict)
    ]
    page = _TEXT.format(
        when=f"{result['date']}, {parts['begun']}",
        machine=result["machine"],
        mode=parts["mode"],
        note=f"{parts['note']} {_begun(parts)}".strip(),
        rows="\n".join(_line(row) for row in rows),
        plot=PLOT,
        missed=_missed(rows),
        floor="\n".join(f"| {name} | {value} |" for name, value in parts["floor"].items()),
        distances="\n".join(_distances(parts)),
        backend=texts.get("default backend", "torch"),
        precision=texts["default precision"],
        cosine=min(cosines),
        index=search.get("auto", "not measured"),
        recall=search.get("index_recall@10 on fresh queries", "not measured"),
        http_index=http.get("index", "not measured"),
        ready=http.get("tusou start to ready, s", "not measured"),
        first_ready=http.get("tusou first start to ready, s", "not measured"),
        memory=http.get("tusou memory, MB", "not measured"),
        memory_after=http.get("tusou memory after, MB", "not measured"),
        encoders=encoder_sections(),
        curves="\n\n".join(_curve(name, parts.get(name, {})) for name in _SEARCHES),
        gpu=_gpu(),
        left_out="; ".join(name for name in PARTS if name not in parts) or "nothing",
    )
    (DOCS / "performance.md").write_text(page, encoding="utf-8")
    (DOCS / PLOT).write_text(plot(rows), encoding="utf-8")


def _begun(parts: Part) -> str:
    """Say when each part was begun, for some may have been measured anew."""
    known = [name for name in PARTS if "begun" in parts.get(name, {})]
    times = ", ".join(f"{name} at {parts[name]['begun']}" for name in known)
    return f"Begun: {times}." if known else ""


def _missed(rows: list[Row]) -> str:
    """Name the goals that were not reached, and what stands in the way."""
    missed = [
        f"* {what}, {times:g} of {GOALS[what]}: {_LIMITS.get(what, 'not explained yet')}."
        for what, _, _, times in rows
        if times < GOALS.get(what, 0)
    ]
    return (
        "\n".join(["Not reached here:", "", *missed]) if missed else "All goals are reached here."
    )


def _distances(parts: Part) -> Iterator[str]:
    """Set what was measured beside the floor that the machine's rates give."""
    measured = {
        "text of 8 tokens, alone, ms": ("texts", "batch 1"),
        "text of 8 tokens, in batches, ms": ("texts", "batch 256"),
        "image, ms": ("images", "224 px"),
    }
    for name, (part, batch) in measured.items():
        floor, ours = parts["floor"][name], parts.get(part, {}).get(batch, {}).get("tusou")
        if ours:
            each = ours["ms_each"]
            yield f"| {name} | {floor} | {each:.2f} | {each / floor:.2f} times |"


def _curve(name: str, search: Part) -> str:
    """Tabulate the trials of one pool."""
    trials = search.get("trials")
    if not isinstance(trials, list):  # older results hold their number alone
        return f"{name}: not measured."
    rows = [
        f"| `{one['factory']}` | {one['tuning']} | {one['index_recall_at_10']:.4f} |"
        for one in trials
    ]
    found, seconds = search["index_recall@10 on fresh queries"], search["built in, s"]
    head = f"{name}: `{search['auto']}`, {found:g} on fresh queries, built in {seconds} s"
    return "\n".join([head, "", "| index | parameters | index_recall@10 |", "|---|---|---|", *rows])


def _gpu() -> str:
    """Give what `make bench-gpu` recorded, as it stands, or say that nothing has been."""
    recorded = RESULTS / "gpu.json"
    if recorded.exists():
        return f"```json\n{recorded.read_text(encoding='utf-8')}```"
    return _NO_GPU.format(goals="; ".join(f"{what}: {goal}" for what, goal in GPU_GOALS.items()))


def rows_of(parts: Part) -> list[Row]:
    """List every comparison."""
    rows = []
    for part, baseline in (("texts", "stock"), ("images", "stock")):
        for name, found in parts.get(part, {}).items():
            if isinstance(found, dict):
                label = "text" if part == "texts" else part
                rows.append(_pair(f"{label}, {name}", found, baseline))
                if "tusou, int8" in found:
                    rows.append(_pair(f"{label}, {name}, int8", found, baseline, "tusou, int8"))
    for part in _SEARCHES:
        for name, found in parts.get(part, {}).items():
            if isinstance(found, dict):
                rows.append(_pair(f"{part}, {name}", found, "IndexFlatIP"))
    for name, found in parts.get("http", {}).items():
        if isinstance(found, dict):
            rows += _http(f"HTTP, {name}", found)
    return rows


def _pair(label: str, found: Part, baseline: str, way: str = "tusou") -> Row:
    theirs, ours = found[baseline], found[way]
    units = "ms" if label.startswith("search") else "ms each"
    return (
        label,
        f"{theirs['ms_each']:g} {units}",
        f"{ours['ms_each']:g} {units}",
        ours["times_faster"],
    )


def _http(label: str, found: Part) -> list[Row]:
    theirs, ours = found["plain"], found["tusou"]
    rate = f"{theirs['queries_per_s']:g}", f"{ours['queries_per_s']:g}"
    rows: list[Row] = [
        (
            f"{label}, queries/s",
            *rate,
            _ratio(ours["queries_per_s"], theirs["queries_per_s"]),
        )
    ]
    for name in ("p50", "p99"):
        a, b = theirs[f"{name}_ms"], ours[f"{name}_ms"]
        rows.append((f"{label}, {name}", f"{a:g} ms", f"{b:g} ms", _ratio(a, b)))
    return rows


def _ratio(over: float, under: float) -> float:
    return round(over / under, 1) if under else 0.0


def _line(row: Row) -> str:
    what, theirs, ours, times = row
    return f"| {what} | {theirs} | {ours} | {times:g} | {GOALS.get(what, '')} |"


def plot(rows: list[Row]) -> str:
    """Draw one bar a row, its length the ratio."""
    most, height = max(row[3] for row in rows), 22
    bars = []
    for number, (what, _, _, times) in enumerate(rows):
        y, length = number * height + 10, 380 * times / most
        bars.append(
            f'<text x="250" y="{y + 14}" text-anchor="end">{what}</text>'
            f'<rect x="260" y="{y + 2}" width="{length:.1f}" height="16" fill="#2a6f97"/>'
            f'<text x="{266 + length:.1f}" y="{y + 14}">{times:g}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{len(rows) * height + 20}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        + "\n".join(bars)
        + "</svg>\n"
    )


if __name__ == "__main__":
    main()
