"""The folder of a sweep: its data, its tables, its curves, and the embeddings it paid for.

FOLDER/sweep.json           everything found; `tusou report --sweep FOLDER` reads it
FOLDER/sweep.md             the tables, with the curves between them
FOLDER/prompt.svg ...       a curve a question
FOLDER/embeddings/          of queries; the next sweep into this folder encodes what is new
"""

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tusou.core.errors import BadDataset, OutputExists
from tusou.core.files import write_file
from tusou_lab.charts.plots import draw
from tusou_lab.strings import SWEEP, Words
from tusou_lab.sweep.experiments import Question
from tusou_lab.sweep.run import Sweep
from tusou_lab.sweep.tables import chart, tables

RESULT, PAGE, EMBEDDINGS = "sweep.json", "sweep.md", "embeddings"

_READER = TypeAdapter(Sweep)


def claim(folder: Path, *, force: bool) -> Path:
    """Make the folder and give the place of its embeddings; a finished sweep is not replaced."""
    if (folder / RESULT).exists() and not force:
        raise OutputExists(f"{folder} holds a sweep; pass --force to replace it, or another --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / EMBEDDINGS


def write(folder: Path, found: Sweep, words: Words | None = None) -> None:
    """Write tables, curves and data into the folder; the data last."""
    words = words or Words("en", SWEEP)
    drawn = draw([chart(question, words) for question in found.questions])
    for question, svg in zip(found.questions, drawn, strict=True):
        write_file(folder / f"{question.name}.svg", svg.encode())
    write_file(folder / PAGE, _page(found, words).encode())
    text = json.dumps(found.as_json(), ensure_ascii=False, indent=1)
    write_file(folder / RESULT, f"{text}\n".encode())


def read(folder: Path) -> Sweep:
    """Read a sweep's data; BadDataset when the folder holds none."""
    path = folder / RESULT
    try:
        stored = json.loads(path.read_bytes())
        if stored.pop("tusou_sweep") != 1:
            raise ValueError("another format")
        return _READER.validate_python(stored)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ValidationError):
        raise BadDataset(f"{path} is not what `tusou sweep --out` writes; sweep again") from None


def _page(found: Sweep, words: Words) -> str:
    base = ", ".join(f"{name} = {value}" for name, value in found.base.items())
    intro = words["sweep_base"].format(
        model=found.model, queries=found.queries, items=found.items, base=base
    )
    parts = [f"# {words['sweep_title']}", intro]
    parts += [_section(question, words) for question in found.questions]
    return "\n\n".join(parts) + "\n"


def _section(question: Question, words: Words) -> str:
    name = words[f"question_{question.name}"]
    shown = [table.markdown() for table in tables(question, words)]
    about = words[f"about_{question.name}"]
    return "\n\n".join([f"## {name}", about, f"![{name}]({question.name}.svg)", *shown])
