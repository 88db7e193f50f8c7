"""What the page on performance says of precisions, backends and tokens."""

import json
from typing import Any

from benchmarks.record import RESULTS

_PRECISIONS = """\
## Precisions

Top 10 of {texts:,} texts among {vectors:,} vectors by brute force, each precision beside fp32
(`python -m benchmarks.fidelity`, {date}). The goal is 99 % for the default, which is `bf16` here:
{reached} of {models} models reach it.
Random weights, over structured vectors, are a hard case: as drawn, all texts come out nearly alike,
and landing them among the vectors enlarges the small differences and the rounding alike. The third
column is the ceiling of any bf16 backend: weights rounded to bf16, all else exact. Published
weights have not been measured. `--precision fp32` is there for who needs every rank.

| model | bf16 | weights alone rounded | int8 | lowest cosine: bf16, int8 |
|---|---|---|---|---|
{rows}

`int8` (`--precision int8`, `TUSOU_PRECISION=int8`) is OpenVINO's, on processors with VNNI or AMX:
products of bytes, with a scale for each output and for each 128 numbers of a token, computed from
the numbers at hand: nothing has to be calibrated. It is never chosen by `auto`.
"""

_BACKENDS = """\
## Engines

Tusou's two backends, torch {torch} and OpenVINO {openvino}, and what it does not use: ONNX Runtime
{onnxruntime}, and int8 that nncf calibrates beforehand. In turn in one process with all cores each
(`python -m benchmarks.backends`, {date}, {machine}).
Milliseconds each, of the fastest round, and the median of processor milliseconds beside them.

| backend | text, 1 | text, 8 | text, 32 | image | top-10 overlap with fp32 |
|---|---|---|---|---|---|
{rows}

{verdict}
"""

_VERDICT = """\
On x86-64 OpenVINO is the default where it is installed (the extra `cpu` brings it), for towers as
large as ViT-B/16's: it is the faster of the two in every precision, most of all for few texts.
Small towers, ResNets and GPUs stay with torch. Types are written into the graph
(`tusou/encoders/openvino/`): products and attention in bf16, sums and norms in float32.
OpenVINO's own hint for bf16 would round those too, at the expense of ranks. Scales that are
calibrated beforehand would make int8 images a third faster; texts gain nothing by them, ranks
suffer more, and somebody would have to bring images like everybody's. ONNX Runtime has no bf16
for processors; its quantiser does not find the weights in this graph, so its int8 was not
measured. With AMX nothing of this has been measured."""

_TOKENS = """\
**Tokens** cost {one:.1f} µs for a query alone and {many:.1f} µs in batches of 32; with cn_clip's
own tokenizer {stock_one:.1f} and {stock_many:.1f} µs (`python -m benchmarks.tokens`, {date}). The
ids are the same on 100,000 hostile texts and on every character of Unicode
(`pytest -m slow tests/tusou/encoders/test_tokenizer.py`).
"""

_GOAL = 0.99

Part = dict[str, Any]


def encoder_sections() -> str:
    """Give each section whose figures have been recorded."""
    sections = [("fidelity", _precisions), ("backends", _backends), ("tokens", _tokens)]
    found = [(RESULTS / f"{name}.json", write) for name, write in sections]
    return "\n".join(
        write(json.loads(path.read_text(encoding="utf-8")))
        for path, write in found
        if path.exists()
    )


def _precisions(result: Part) -> str:
    figures: Part = result["figures"]
    models = {name: one for name, one in figures.items() if isinstance(one, dict)}
    rows = [
        f"| {name} | {_percent(one['bf16'])} | "
        f"{_percent(one.get('weights rounded to bf16, nothing else'))} | {_percent(one['int8'])} | "
        f"{one['bf16']['cosine, lowest']}, {one['int8']['cosine, lowest']} |"
        for name, one in models.items()
    ]
    reached = sum(one["bf16"]["top-10 overlap"] >= _GOAL for one in models.values())
    return _PRECISIONS.format(
        date=result["date"],
        rows="\n".join(rows),
        reached=reached,
        models=len(models),
        **_counts(figures),
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


def _times(found: Part) -> str:
    return f"{found['ms_each_fastest']:.1f} ({found['processor_ms_each']:.1f})"


def _counts(figures: Part) -> dict[str, int]:
    return {name: count for name, count in figures.items() if isinstance(count, int)}


def _percent(ranks: Part | None) -> str:
    return f"{100 * ranks['top-10 overlap']:.1f} %" if ranks else ""
