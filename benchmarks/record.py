"""What every benchmark writes beside its figures: machine, date, versions, command."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Name the processor, its cores and memory."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    flags: set[str] = set()
    if info.exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            if name.strip() == "flags":
                flags = set(value.split())
    matrix = next((flag for flag in ("amx_bf16", "avx512_bf16", "avx2") if flag in flags), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores of {model} ({matrix}), {memory:.0f} GiB, Python {platform.python_version()}"
    )


def record(name: str, figures: dict[str, object], kept_as: str | None = None) -> None:
    """Print the figures of a benchmark and keep them in `results/`."""
    RESULTS.mkdir(exist_ok=True)
    result = {
        "benchmark": name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "tusou": version("tusou"),
        "command": "python " + " ".join(["-m", f"benchmarks.{name}", *sys.argv[1:]]),
        "figures": figures,
    }
    text = json.dumps(result, ensure_ascii=False, indent=2)
    (RESULTS / f"{kept_as or name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)
