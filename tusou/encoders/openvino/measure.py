"""Measures, once, in which precision a tower is faster on this processor.

`python -m tusou.encoders.openvino.measure PATH DIGEST TOWER [ARCHITECTURE]` measures a tower that
is converted in both precisions, in a process of its own, which frees their memory when it ends,
and prints a `MeasuredPrecision`.
"""

import fcntl
import logging
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import cast

import numpy as np
from pydantic import ValidationError

from tusou.core.hardware import cpu_count
from tusou.core.memory_budget import available_memory
from tusou.encoders.architecture import ImageShape, Tower
from tusou.encoders.base import Tokens
from tusou.encoders.openvino.cache import cache_folder, can_store, discard, find_cached
from tusou.encoders.openvino.encoders import (
    OpenVinoImageEncoder,
    OpenVinoTextEncoder,
    convert_to_cache,
)
from tusou.encoders.openvino.precision_file import (
    MeasuredPrecision,
    read_measured,
    write_measured,
)
from tusou.encoders.select_backend import ResolvedEncoder, resolve_encoder
from tusou.encoders.weights import open_again

_MODULE = "tusou.encoders.openvino.measure"
_LOCK = ".measuring"

# Both compiled models pack the weights of both precisions: 2 x (4 + 2) bytes per parameter.
_BYTES_PER_PARAMETER = 12

_TEXT_TOKENS, _TEXTS = 10, 32
_ROUNDS, _SECONDS = 10, 2.0  # of each work; there are always two rounds

_log = logging.getLogger(__name__)

Work = Callable[[], object]


def measure_precision(resolved: ResolvedEncoder) -> MeasuredPrecision | None:
    """Return what this processor measured for a tower, measuring it if it has not.

    The tower is converted in both precisions for that; the one that was not chosen is deleted
    unless it was there before. One process measures at a time. None where nothing may be written
    beside the weights, the memory does not suffice, or the conversion or the measurement fails.
    """
    key = resolved.weights, resolved.tower, resolved.variant
    measured = read_measured(*key)
    if measured is not None or not can_store(resolved.weights):
        return measured
    needed, free = resolved.parameter_count * _BYTES_PER_PARAMETER, available_memory()
    if free is not None and needed > free:
        _log.info("too little memory to compare fp32 and bf16: auto is %s", resolved.precision)
        return None
    folder = cache_folder(resolved.weights)
    try:
        folder.mkdir(exist_ok=True)
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return read_measured(*key) or _measure_and_keep(resolved)  # another may have measured
    except OSError as error:
        _log.warning(
            "cannot keep a measurement in %s (%s): auto is %s",
            folder,
            error.strerror or error,
            resolved.precision,
        )
        return None


def _measure_and_keep(resolved: ResolvedEncoder) -> MeasuredPrecision | None:
    weights, tower, variant = resolved.weights, resolved.tower, resolved.variant
    towers = {name: replace(resolved, precision=name) for name in ("fp32", "bf16")}
    before = {name for name in towers if find_cached(weights, tower, name, variant)}
    if not all(convert_to_cache(each) for each in towers.values()):
        return None
    _log.info("measuring the %s tower of %s in fp32 and bf16, once", tower, weights.name)
    measured = _run(resolved)
    if measured is None:
        _log.warning("the measurement failed: auto is %s", resolved.precision)
        return None
    write_measured(weights, tower, measured, variant)
    _log.info("auto is %s for the %s tower of %s", measured, tower, weights.name)
    for name in towers.keys() - before - {measured.precision}:
        discard(weights, tower, name, variant)
    return measured


def _run(resolved: ResolvedEncoder) -> MeasuredPrecision | None:
    """Measure in another process; None if it fails."""
    weights = resolved.weights
    arguments = str(weights.path.absolute()), weights.digest, resolved.tower
    architecture = [weights.open_clip] if weights.open_clip else []
    command = [sys.executable, "-Pm", _MODULE, *arguments, *architecture]
    ended = subprocess.run(  # noqa: S603
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        return MeasuredPrecision.model_validate_json(ended.stdout) if not ended.returncode else None
    except ValidationError:
        return None


def measure_tower(fp32: ResolvedEncoder) -> MeasuredPrecision:
    """Load a converted tower in both precisions, and time each kind of work in turn."""
    works = {name: _works(replace(fp32, precision=name)) for name in ("fp32", "bf16")}
    times: dict[str, dict[str, float]] = {name: {} for name in works}
    for work in works["fp32"]:
        fastest = fastest_in_turn({name: of_work[work] for name, of_work in works.items()})
        for name, seconds in fastest.items():
            times[name][work] = round(1000 * seconds, 3)
    return MeasuredPrecision(openvino=version("openvino"), cores=cpu_count(), **times)


def fastest_in_turn(works: Mapping[str, Work]) -> dict[str, float]:
    """Call every work once a round, after a warm-up round; return the fewest seconds of each."""
    for work in works.values():
        work()
    seconds = dict.fromkeys(works, math.inf)
    end = time.perf_counter() + _SECONDS
    for number in range(_ROUNDS):
        if number > 1 and time.perf_counter() > end:
            break
        for name, work in works.items():
            started = time.perf_counter()
            work()
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return seconds


def _works(resolved: ResolvedEncoder) -> dict[str, Work]:
    """Return what is timed: a single text and a batch, or an image for every core."""
    if isinstance(resolved.shape, ImageShape):
        images, side = OpenVinoImageEncoder(resolved), resolved.shape.image_resolution
        count = cpu_count()
        pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
        return {f"{count} image{'s' * (count > 1)}": lambda: images.encode(pixels)}
    texts = OpenVinoTextEncoder(resolved)
    alone, batch = (Tokens(np.ones((count, _TEXT_TOKENS), np.int64), ()) for count in (1, _TEXTS))
    return {"1 text": lambda: texts.encode(alone), f"{_TEXTS} texts": lambda: texts.encode(batch)}


def main() -> None:
    """Measure the tower that the command line names."""
    path, digest, tower, *architecture = sys.argv[1:]
    weights = open_again(Path(path), digest, *architecture)
    resolved = resolve_encoder(weights, cast("Tower", tower), "cpu", "fp32", "openvino")
    sys.stdout.write(measure_tower(resolved).model_dump_json())


if __name__ == "__main__":
    main()
