"""The folder of a sweep: its data, tables, curves and query embeddings.

FOLDER/sweep.json           all results; `tusou report --sweep FOLDER` reads it
FOLDER/sweep.md             the tables, with the curves between them
FOLDER/prompt.svg ...       a curve per experiment
FOLDER/embeddings/          of queries; the next sweep into this folder encodes only new ones
"""

from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from tusou.core.errors import OutputExists
from tusou.core.files import write_file
from tusou_lab.charts.plots import draw_svgs
from tusou_lab.markdown import escape_text
from tusou_lab.stored_result import read_result, tagged, write_result
from tusou_lab.strings import strings_in
from tusou_lab.sweep.run import SweepResult
from tusou_lab.sweep.tables import experiment_chart, experiment_tables

RESULT, PAGE, EMBEDDINGS = "sweep.json", "sweep.md", "embeddings"

_FORMAT = "tusou_sweep", 2
_RESULT_TYPE = TypeAdapter(SweepResult)


def prepare_folder(folder: Path, *, force: bool) -> Path:
    """Create the folder and return the one for its embeddings.

    Raises OutputExists when the folder holds a finished sweep, unless `force` is set.
    """
    if (folder / RESULT).exists() and not force:
        raise OutputExists(f"{folder} holds a sweep; pass --force to replace it, or another --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / EMBEDDINGS


def write_sweep(folder: Path, result: SweepResult) -> None:
    """Write curves, tables and, last, the data."""
    words = strings_in("en")
    base = ", ".join(f"{name} = {value}" for name, value in result.base.items())
    intro = words["sweep_base"].format(
        model=result.model, queries=result.queries, items=result.items, base=base
    )
    page = [f"# {words['sweep_title']}", escape_text(intro)]
    charts = draw_svgs([experiment_chart(each, words) for each in result.experiments])
    for experiment, svg in zip(result.experiments, charts, strict=True):
        write_file(folder / f"{experiment.name}.svg", svg.encode())
        name, about = words[f"experiment_{experiment.name}"], words[f"about_{experiment.name}"]
        page += [f"## {name}", about, f"![{name}]({experiment.name}.svg)"]
        page += [table.markdown() for table in experiment_tables(experiment, words)]
    write_file(folder / PAGE, ("\n\n".join(page) + "\n").encode())
    write_result(folder / RESULT, *_FORMAT, asdict(result))


def read_sweep(folder: Path) -> SweepResult:
    """Read the data of a sweep; raise BadDataset when the folder holds none."""
    return read_result(folder / RESULT, *_FORMAT, _RESULT_TYPE, "tusou sweep")


def result_json(result: SweepResult) -> dict[str, object]:
    """Return the content of `sweep.json`."""
    return tagged(*_FORMAT, asdict(result))
