"""What every benchmark writes beside its figures: machine, date, versions, command."""

import json
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tusou.core.hardware import describe_machine

RESULTS = Path(__file__).parent / "results"


def record(name: str, figures: dict[str, object], kept_as: str | None = None) -> None:
    """Print the figures of a benchmark and keep them in `results/`."""
    RESULTS.mkdir(exist_ok=True)
    result = {
        "benchmark": name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "tusou": version("tusou"),
        "command": " ".join(["python", "-m", f"benchmarks.{name}", *map(_shown, sys.argv[1:])]),
        "figures": figures,
    }
    text = json.dumps(result, ensure_ascii=False, indent=2)
    (RESULTS / f"{kept_as or name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def _shown(argument: str) -> str:
    """Leave out where a folder lay on the machine that measured."""
    return Path(argument).name if Path(argument).is_absolute() else argument
