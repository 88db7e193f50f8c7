"""The halves of the answers, and the runs of rungs over each, as files for `tusou compare`."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from tusou.core.files import write_file
from tusou.evaluation.judgments import JudgedQuery, Judgments
from tusou.evaluation.runs import Run
from tusou_lab.evaluate.export import save
from tusou_lab.improve.halves import Halves, Positions
from tusou_lab.improve.ladder import ANSWERS, CHOOSING, CONFIRMING, RUNS

PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Writes the files of one ladder."""

    folder: Path
    judgments: Judgments
    halves: Halves

    def write_answers(self) -> None:
        """Write the queries of each half with their correct items."""
        (self.folder / ANSWERS).mkdir(parents=True, exist_ok=True)
        for half, positions in self._halves():
            rows = (self.judgments.rows[position] for position in positions.tolist())
            lines = (json.dumps(_as_row(row), ensure_ascii=False) + "\n" for row in rows)
            write_file(self.folder / ANSWERS / f"{half}.jsonl", "".join(lines).encode())

    def save(self, name: str, run: Run) -> None:
        """Write what a bundle returns for the queries of each half."""
        for half, positions in self._halves():
            path = self.folder / RUNS / half / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = tuple(self.judgments.rows[position] for position in positions.tolist())
            save(path, run, replace(self.judgments, rows=rows))

    def _halves(self) -> tuple[tuple[str, Positions], ...]:
        return (CHOOSING, self.halves.choosing), (CONFIRMING, self.halves.confirming)


def run_name(rungs: tuple[str, ...]) -> str:
    """Return the name of the files of rungs: without characters that a path may not have."""
    return re.sub(r"[^\w.+-]+", "-", "+".join(rungs)).strip("-.") or PLAIN


def _as_row(row: JudgedQuery) -> dict[str, object]:
    return {"query_id": row.query_id, "query_text": row.text, "item_ids": row.correct}
