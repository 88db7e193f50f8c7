"""The sections of the performance page about precisions, backends and the tokenizer."""

import json
import math
from typing import Any

from benchmarks.record import RESULTS

_PRECISIONS = """\
## Precisions

Share of fp32's top 10 that each precision keeps, for {texts:,} texts among {vectors:,} vectors
with exact search (`python -m benchmarks.fidelity`, {date}). The goal is 99 % for the default,
which is `bf16` here; {reached} of {models} models reach it. Random weights over structured
vectors are a hard case: texts come out nearly equal, and spreading them among the vectors
enlarges small differences and rounding errors as much. The third column is the upper bound for
bf16 on any backend: weights rounded to bf16, everything else exact. Published weights have not
been measured. Use `--precision fp32` if every rank matters.

| model | bf16 | only weights rounded | int8 | lowest cosine: bf16, int8 |
|---|---|---|---|---|
{rows}

`int8` (`--precision int8`, `TUSOU_PRECISION=int8`) is OpenVINO's, for processors with VNNI or
AMX: products of bytes, with scales that are computed at run time, so nothing has to be
calibrated. `auto` never chooses it. [`int8-calibrated`](operations.md#calibrated-int8) has scales
that nncf computes from 300 images of the pool that is indexed; the table of backends below has its
speed as nncf's own conversion of the torch tower, and the graph of `tusou index` has not been timed
on a processor with VNNI.
"""

_AUTO = """\
**`--precision auto`** on a processor with AMX or AVX512-bf16: for a large tower that OpenVINO
computes, the first use converts the weights in fp32 and in bf16 and measures both by turns, a
single text and 32 texts, or an image for every core. bf16 is taken if it is a tenth faster, as the
geometric mean. The result is kept beside the weights under the processor's name, and decides until
the processor, OpenVINO or the weights change. Where nothing can be kept, or the memory does not
suffice for both, the processor's instructions decide: bf16. Processors without these instructions
take fp32 unmeasured, because bf16 gains too little there: by the same measurement, fp32 takes
{text} times as long for texts and {image} times as long for images
(`python -m benchmarks.auto_precision`, {date}, {machine},
{repeats} times, on a busy machine without AMX).
"""

_BACKENDS = """\
## Backends

Tusou's two backends, torch {torch} and OpenVINO {openvino}, compared with two alternatives:
ONNX Runtime {onnxruntime}, and int8 calibrated by nncf, which Tusou uses for images on request.
Measured in turn in one process, with all cores (`python -m benchmarks.backends`, {date},
{machine}). Milliseconds per text or image in the fastest round; in brackets, the median of CPU
milliseconds.

| backend | text, 1 | text, 8 | text, 32 | image | top-10 overlap with fp32 |
|---|---|---|---|---|---|
{rows}

{verdict}
"""

_VERDICT = """\
On x86-64, OpenVINO is the default if it is installed (as the extra `cpu` does): for towers as
large as ViT-B/16's, and for text towers from the size of a [small student](students.md) on. It is
faster than torch in every precision, most of all for few texts. Smaller towers, ResNets and GPUs
use torch. The graph has its types written into it
(`tusou/encoders/openvino/`): products and attention in bf16, sums and norms in float32.
OpenVINO's own hint for bf16 would round those too, and ranks would suffer. Calibrated scales
make int8 images a third faster; texts would gain nothing, ranks suffer more, and calibration needs
representative images: `--precision int8-calibrated` is for images alone, and `auto` never takes
it. ONNX Runtime has no bf16 for processors, and its quantiser does not find the weights in this
graph, so its int8 was not measured. The table above has no processor with AMX."""

_TOKENS = """\
**The tokenizer** takes {one:.1f} µs for a single query and {many:.1f} µs per query in batches of
32; cn_clip's own takes {stock_one:.1f} and {stock_many:.1f} µs (`python -m benchmarks.tokens`,
{date}). The ids are the same on 100,000 hostile texts and on every character of Unicode
(`pytest -m slow tests/tusou/encoders/test_tokenizer.py`).
"""

_ONNX = """\
An [exported model](onnx.md), which pads a batch to its longest text, beside Tusou's own encoders
(`python -m benchmarks.onnx_runtime`, {date}, ONNX Runtime {onnxruntime}, ViT-B/16 with random
weights, in turn in one process). How many times faster than ONNX Runtime the fastest round was,
on a busy machine, so that the figures are rough:

| backend | text, 1 | texts, 32 | image, 1 | images, 4 |
|---|---|---|---|---|
{rows}
"""

_ANY_MODEL = """\
## Chinese-CLIP from a transformers folder

A folder of Chinese-CLIP ViT-B/16 with random weights, texts of 8 tokens on average, through Tusou
({backend}, {precision}) and through transformers {transformers} itself, in turn in one process
(`python -m benchmarks.any_model`, {date}, {machine}). Transformers pads to the longest text of a
batch, as its examples do, or to the 52 tokens that cn_clip pads to. The columns say how many times
faster Tusou is in the fastest rounds. {verdict} What is left of a batch is the products of its
tokens, which both compute: bf16 does them in half the time at best, and packing saves the padding.

| texts | padded to the longest | padded to 52 | the same in fp32 | | lowest cosine | goal |
|---|---|---|---|---|---|---|
{rows}
"""

_EXTRA_MODELS = """\
**The extra `models`** costs a service on a bundle of Chinese-CLIP nothing: it imports none of its
libraries. With it installed the fastest start took {start} of the time without it
({with_seconds} and {without_seconds} s on a shared machine), the memory was {memory} of that
without ({with_mb} and {without_mb} MB; `python -m benchmarks.extra_models`, {date}, {runs} starts
of each in turn).
"""

_LIBRARY = """\
## Models that run through their library

The table compares two cases with a CLIP of ViT-B/16's geometry in Tusou's own towers, which run
all models whose text tower has the shape of BERT's or CLIP's: the same CLIP through transformers
{transformers} in Tusou's batches, and a SigLIP of the same widths, which only its library computes.
SigLIP's text tower is wider than CLIP's, its texts are padded to 64 tokens, and its image tower
ends in an attention layer. The figures say how many times as long as in Tusou's own towers the
fastest call takes, with random weights, by turns in one process
(`python -m benchmarks.library_models`, {date}, {machine}).

| task | CLIP, transformers | SigLIP, transformers |
|---|---|---|
{rows}
"""

_GOAL = 0.99

Part = dict[str, Any]


def encoder_sections() -> str:
    """Return every section whose figures have been recorded."""
    sections = {
        "fidelity": _precisions,
        "auto_precision": _auto,
        "backends": _backends,
        "onnx_runtime": _onnx,
        "any_model": _any_model,
        "extra_models": _extra_models,
        "library_models": _library,
        "tokens": _tokens,
    }
    return "\n".join(
        write(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))
        for name, write in sections.items()
        if (RESULTS / f"{name}.json").exists()
    )


def _precisions(result: Part) -> str:
    figures: Part = result["figures"]
    models = {name: model for name, model in figures.items() if isinstance(model, dict)}
    rows = [
        f"| {name} | {_percent(model['bf16'])} | "
        f"{_percent(model.get('weights rounded to bf16, nothing else'))} | "
        f"{_percent(model['int8'])} | "
        f"{model['bf16']['cosine, lowest']}, {model['int8']['cosine, lowest']} |"
        for name, model in models.items()
    ]
    reached = sum(model["bf16"]["top-10 overlap"] >= _GOAL for model in models.values())
    return _PRECISIONS.format(
        date=result["date"],
        rows="\n".join(rows),
        reached=reached,
        models=len(models),
        **_counts(figures),
    )


def _auto(result: Part) -> str:
    gains = {
        tower: [
            math.prod(each["fp32"][work] / each["bf16"][work] for work in each["fp32"])
            ** (1 / len(each["fp32"]))
            for each in repeats
        ]
        for tower, repeats in result["figures"].items()
    }
    return _AUTO.format(
        date=result["date"],
        machine=result["machine"],
        repeats=len(result["figures"]["text"]),
        **{tower: f"{min(each):.2f} to {max(each):.2f}" for tower, each in gains.items()},
    )


def _backends(result: Part) -> str:
    texts, images = result["figures"]["texts"], result["figures"]["images"]
    columns = [texts["batch 1"], texts["batch 8"], texts["batch 32"], images["batch 8"]]
    rows = [
        "| "
        + " | ".join(
            [
                name,
                *(_times(column[name]) for column in columns),
                _percent(texts["beside torch, fp32"][name]),
            ]
        )
        + " |"
        for name in columns[0]
    ]
    return _BACKENDS.format(
        date=result["date"],
        machine=result["machine"],
        rows="\n".join(rows),
        verdict=_VERDICT,
        **result["figures"]["versions"],
    )


def _tokens(result: Part) -> str:
    alone, batched = result["figures"]["batch 1"], result["figures"]["batch 32"]
    return _TOKENS.format(
        one=1000 * alone["tusou"]["ms_each"],
        many=1000 * batched["tusou"]["ms_each"],
        stock_one=1000 * alone["cn_clip"]["ms_each"],
        stock_many=1000 * batched["cn_clip"]["ms_each"],
        date=result["date"],
    )


def _onnx(result: Part) -> str:
    figures: Part = result["figures"]
    tasks = [figures[name] for name in ("1 texts", "32 texts", "1 images", "4 images")]
    backends = [name for name in tasks[0] if not name.startswith("ONNX")]
    rows = [
        f"| {name} | "
        + " | ".join(f"{task[name]['times faster than ONNX Runtime']:.1f}" for task in tasks)
        + " |"
        for name in backends
    ]
    return _ONNX.format(
        date=result["date"],
        onnxruntime=figures["versions"]["onnxruntime"],
        rows="\n".join(rows),
    )


def _any_model(result: Part) -> str:
    figures: Part = result["figures"]
    rows = []
    for name, part in figures.items():
        if not isinstance(part, dict):
            continue
        ratios = part["fastest rounds"]
        cells = [
            ratios[f"{ours}: times faster than transformers, padded to {other}"]
            for ours in ("tusou", "tusou, fp32")
            for other in ("the longest", "52")
        ]
        lowest = part["lowest cosine"]["tusou"]
        rows.append(f"| {name} | {' | '.join(map(str, cells))} | {lowest} | {part['goal']} |")
    about = {key: figures[key] for key in ("transformers", "backend", "precision")}
    return _ANY_MODEL.format(
        date=result["date"],
        machine=result["machine"],
        rows="\n".join(rows),
        verdict=_compare_with_goal(figures["batch 32"]),
        **about,
    )


def _compare_with_goal(batch: Part) -> str:
    """Return a sentence about the goal for a batch of 32 texts."""
    ratios, goal = batch["fastest rounds"], batch["goal"]
    met = [
        padding
        for padding in ("the longest text", "52 tokens")
        if ratios[f"tusou: times faster than transformers, padded to {_short(padding)}"] >= goal
    ]
    if not met:
        return f"The goal for a batch, {goal}, is missed."
    return f"The goal for a batch, {goal}, is met where texts are padded to {' or '.join(met)}."


def _short(padding: str) -> str:
    return padding.removesuffix(" text").removesuffix(" tokens")


def _extra_models(result: Part) -> str:
    figures: Part = result["figures"]
    with_extra, without = figures["with the extra"], figures["without the extra"]
    return _EXTRA_MODELS.format(
        date=result["date"],
        runs=figures["runs"],
        start=figures["with the extra to without, fastest start"],
        memory=figures["with the extra to without, memory"],
        with_seconds=with_extra["start to ready, s, fastest"],
        without_seconds=without["start to ready, s, fastest"],
        with_mb=with_extra["idle memory, MB, median"],
        without_mb=without["idle memory, MB, median"],
    )


def _times(column: Part) -> str:
    return f"{column['ms_each_fastest']:.1f} ({column['processor_ms_each']:.1f})"


def _counts(figures: Part) -> dict[str, int]:
    return {name: count for name, count in figures.items() if isinstance(count, int)}


def _percent(ranks: Part | None) -> str:
    return f"{100 * ranks['top-10 overlap']:.1f} %" if ranks else ""


def _library(result: Part) -> str:
    figures: Part = result["figures"]
    rows = []
    for task, each in figures.items():
        if isinstance(each, dict):
            own, *others = each.values()
            times = (f"{milliseconds / own:.2f}" for milliseconds in others)
            rows.append(f"| {task} | {' | '.join(times)} |")
    return _LIBRARY.format(
        transformers=figures["transformers"],
        date=result["date"],
        machine=result["machine"],
        rows="\n".join(rows),
    )
