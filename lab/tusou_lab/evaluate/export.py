"""Write what was scored in the format that the file's name asks for."""

from collections.abc import Sequence
from pathlib import Path

from tusou.core.errors import InvalidRequest, OutputExists
from tusou.core.files import write_file
from tusou.evaluation import trec
from tusou.evaluation.judgments import Judgments
from tusou.evaluation.runs import Run, RunHeader, format_run
from tusou_lab.evaluate.submissions import format_submission

# The formats by the end of the file's name.
_FORMATS = {
    ".jsonl": "a run file",
    ".trec": "a TREC run",
    ".qrels": "the answers as TREC judgments",
    ".zip": "a MUGE submission",
    ".csv": "Teddy Cup's table",
}


def check_outputs(outputs: Sequence[Path], *, force: bool) -> None:
    """Refuse, before any work, what could not be written after it."""
    for path in outputs:
        if path.suffix not in _FORMATS:
            known = ", ".join(f"{suffix} ({format_})" for suffix, format_ in _FORMATS.items())
            raise InvalidRequest(f"--save {path}: end the name with one of {known}")
        if path.exists() and not force:
            raise OutputExists(f"{path} exists; give --force to replace it, or another --save")


def save(path: Path, run: Run, answers: Judgments) -> None:
    """Write the format that the end of the name asks for; InvalidRequest if the run is not fit."""
    if path.suffix in {".zip", ".csv"}:
        write_file(path, format_submission(path, run, answers))
        return
    header = run.header or RunHeader(
        bundle=None, model=None, index=None, direction=answers.direction
    )
    rankings = {row.query_id: run.rankings[row.query_id] for row in answers.rows}
    ordered = Run(run.lines, rankings, scores=run.scores, header=header)
    if path.suffix == ".jsonl":
        text = format_run(ordered)
    elif path.suffix == ".trec":
        text = trec.format_run(rankings, run.scores, header.bundle or "tusou")
    else:
        text = trec.format_qrels({row.query_id: row.grades or {} for row in answers.rows})
    write_file(path, text.encode())
