"""Results of benchmarks: figures with machine, date, version and command."""

import json
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tusou.core.hardware import describe_machine

RESULTS = Path(__file__).parent / "results"


def record(
    name: str, figures: dict[str, object], file_name: str | None = None, *, save: bool = True
) -> None:
    """Print the figures of a benchmark, and with `save` write them to `results/FILE_NAME.json`.

    `name` is the module's below `benchmarks`; its last part names the file by default.
    """
    arguments = map(_without_folder, sys.argv[1:])
    result = {
        "benchmark": name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "tusou": version("tusou"),
        "command": " ".join(["python", "-m", f"benchmarks.{name}", *arguments]),
        "figures": figures,
    }
    text = json.dumps(result, ensure_ascii=False, indent=2)
    if save:
        module = name.rpartition(".")[2]
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{file_name or module}.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def _without_folder(argument: str) -> str:
    """Return an argument without the folders of the machine that measured."""
    return Path(argument).name if Path(argument).is_absolute() else argument
