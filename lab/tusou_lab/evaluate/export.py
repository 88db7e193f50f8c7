"""Writes evaluated runs in the format that the file's suffix names."""

from collections.abc import Sequence
from pathlib import Path

from tusou.core.errors import InvalidRequest, OutputExists
from tusou.core.files import write_file
from tusou.evaluation import trec
from tusou.evaluation.judgments import Judgments
from tusou.evaluation.runs import Run, RunHeader, format_run
from tusou_lab.evaluate.submissions import format_submission

_FORMATS = {
    ".jsonl": "a run file",
    ".trec": "a TREC run",
    ".qrels": "the answers as TREC judgments",
    ".prels": "judgments of items drawn at random",
    ".zip": "a MUGE submission",
    ".csv": "Teddy Cup's table",
}


def check_outputs(outputs: Sequence[Path], *, force: bool) -> None:
    """Raise InvalidRequest for an unknown suffix and OutputExists for a file that exists."""
    for path in outputs:
        if path.suffix not in _FORMATS:
            known = ", ".join(f"{suffix} ({name})" for suffix, name in _FORMATS.items())
            raise InvalidRequest(f"--save {path}: end the name with one of {known}")
        if path.exists() and not force:
            raise OutputExists(f"{path} exists; give --force to replace it, or another --save")


def save(path: Path, run: Run, judgments: Judgments) -> None:
    """Write a run in the format of the suffix; InvalidRequest when the format cannot hold it."""
    if path.suffix in {".zip", ".csv"}:
        write_file(path, format_submission(path, run, judgments))
        return
    header = run.header or RunHeader(
        bundle=None, model=None, index=None, direction=judgments.direction
    )
    rankings = {query.query_id: run.rankings[query.query_id] for query in judgments.rows}
    if path.suffix == ".jsonl":
        text = format_run(Run(run.lines, rankings, scores=run.scores, header=header))
    elif path.suffix == ".trec":
        text = trec.format_run(rankings, run.scores, header.bundle or "tusou")
    else:
        text = _format_judgments(path, judgments)
    write_file(path, text.encode())


def _format_judgments(path: Path, judgments: Judgments) -> str:
    grades = {query.query_id: query.grades or {} for query in judgments.rows}
    drawn = {query.query_id: query.probabilities or {} for query in judgments.rows}
    if path.suffix == ".prels":
        if not all(drawn.values()):
            raise InvalidRequest(f"--save {path}: the judgments were not drawn; save .qrels")
        return trec.format_prels(grades, drawn, "tusou")
    if any(drawn.values()):
        raise InvalidRequest(
            f"--save {path}: qrels cannot hold the probabilities of the judgments; save .prels"
        )
    return trec.format_qrels(grades)
