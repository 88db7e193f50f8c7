"""Measurements in a process of their own, with its processor time and peak memory."""

import json
import os
import tempfile
from collections.abc import Callable

PEAK = "peak memory in MB"


def measure_in_process(measure: Callable[[], dict[str, object]]) -> dict[str, object]:
    """Run a function in a fork, and return its figures with the processor time and memory."""
    with tempfile.TemporaryFile("w+") as file:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                json.dump(measure(), file)
                file.flush()
                status = 0
            finally:
                os._exit(status)
        _, status, usage = os.wait4(child, 0)
        if status:
            raise SystemExit("a measurement failed: see above")
        file.seek(0)
        figures: dict[str, object] = json.load(file)
    return figures | {
        "processor minutes": round((usage.ru_utime + usage.ru_stime) / 60, 2),
        PEAK: round(usage.ru_maxrss / 1024),
    }
