"""The folder of an evaluation set: what it holds, and how its files are written and read.

    plan.json          the domain, the seed and the counts of the plan
    plan.md            the card of the plan
    domain.yaml        the domain with all its terms, to edit and plan again
    answers.jsonl      what a model answered while it proposed terms and wrote queries
    queries.jsonl      the planned queries
    pool.json          the systems and the design of the drawing
    pool.jsonl         the drawn pairs of a query and an item, with their probabilities
    guidelines.jsonl   what a model wrote about each query before it graded
    judgments.jsonl    a line for each judgment, in the order in which they were made

Answers, guidelines and judgments are appended, and a line that a kill cut off is dropped when they
are read; the other files are replaced as a whole.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from tusou.core.errors import BadDataset, InputError, OutputExists
from tusou.core.files import write_file
from tusou_lab.evalset.plan import PlannedQuery

FORMAT = 1
_PLAN, _QUERIES, _POOL, _PAIRS, _JUDGMENTS = (
    "plan.json", "queries.jsonl", "pool.json", "pool.jsonl", "judgments.jsonl",
)  # fmt: skip
_GUIDELINES, _LOCK = "guidelines.jsonl", ".lock"

T = TypeVar("T")


class SetFolder:
    """An evaluation set on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check_new(self, *, force: bool) -> None:
        """Raise OutputExists if there is a plan, unless forced, and if there are judgments."""
        if (self.path / _JUDGMENTS).exists():
            raise OutputExists(f"{self.path} holds judgments: choose another --out")
        if (self.path / _PLAN).exists() and not force:
            raise OutputExists(f"{self.path} holds a plan: choose another --out or pass --force")

    def create(
        self,
        plan: Mapping[str, Any],
        queries: Iterable[PlannedQuery],
        texts: Mapping[str, str] = {},
        *,
        force: bool,
    ) -> None:
        """Write the plan, its queries and further files, by name; errors as for `check_new`.

        The drawing and the guidelines of a plan that is replaced are removed.
        """
        self.check_new(force=force)
        self.path.mkdir(parents=True, exist_ok=True)
        for name in (_POOL, _PAIRS, _GUIDELINES):
            (self.path / name).unlink(missing_ok=True)
        for name, text in texts.items():
            write_file(self.path / name, text.encode())
        self._write_rows(_QUERIES, map(asdict, queries))
        self._write(_PLAN, {"evalset": FORMAT, **plan})

    def plan(self) -> dict[str, Any]:
        """Return the plan; BadDataset if the folder is not an evaluation set."""
        return self._read(_PLAN, "tusou evalset plan")

    def queries(self) -> list[PlannedQuery]:
        """Return the planned queries."""
        self.plan()
        return self._read_rows(_QUERIES, TypeAdapter(PlannedQuery))

    def write_pool(self, design: Mapping[str, Any], pairs: Iterable[Mapping[str, Any]]) -> None:
        """Write the drawn pairs and the design of the drawing."""
        self._write_rows(_PAIRS, pairs)
        self._write(_POOL, design)

    def pool(self) -> dict[str, Any]:
        """Return the design of the drawing; BadDataset before `tusou evalset pool`."""
        return self._read(_POOL, "tusou evalset pool")

    def pairs(self, adapter: TypeAdapter[T]) -> list[T]:
        """Return the drawn pairs."""
        self.pool()
        return self._read_rows(_PAIRS, adapter)

    def judgments(self, adapter: TypeAdapter[T]) -> list[T]:
        """Return all judgments, in the order in which they were made."""
        path = self.path / _JUDGMENTS
        return self._read_rows(_JUDGMENTS, adapter, torn=True) if path.exists() else []

    def guidelines(self, judge: str) -> dict[int, str]:
        """Return the guidelines that a judge wrote, by query."""
        return {each.query_id: each.text for each in self.written_guidelines(judge)}

    def written_guidelines(self, judge: str) -> "list[Guideline]":
        """Return the guidelines that a judge wrote, with what they cost."""
        path = self.path / _GUIDELINES
        adapter = TypeAdapter(Guideline)
        rows = self._read_rows(_GUIDELINES, adapter, torn=True) if path.exists() else []
        return [each for each in rows if each.judge == judge]

    def keep_guideline(self, guideline: "Guideline") -> None:
        """Add a guideline, and wait until it is on disk."""
        file = JudgmentFile(self.path / _GUIDELINES)
        file.append([asdict(guideline)])
        file.close()

    @contextmanager
    def writing(self) -> Iterator["JudgmentFile"]:
        """Open the judgments to append to them; InputError while another process does."""
        self.plan()
        with (self.path / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    f"another process judges {self.path}; wait until it ends"
                ) from None
            file = JudgmentFile(self.path / _JUDGMENTS)
            try:
                yield file
            finally:
                file.close()

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, ensure_ascii=False, indent=1)
        write_file(self.path / name, f"{text}\n".encode())

    def _write_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_file(self.path / name, "".join(lines).encode())

    def _read(self, name: str, verb: str) -> dict[str, Any]:
        try:
            value = json.loads((self.path / name).read_bytes())
        except (OSError, ValueError):
            value = None
        if not isinstance(value, dict):
            raise BadDataset(f"{self.path} has no readable {name}: run `{verb}` first")
        if name == _PLAN and value.get("evalset") != FORMAT:
            raise BadDataset(f"{self.path} was made by another version of `tusou evalset`")
        return value

    def _read_rows(self, name: str, adapter: TypeAdapter[T], *, torn: bool = False) -> list[T]:
        path = self.path / name
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise BadDataset(f"cannot read {path}: {error.strerror}") from None
        last = lines.pop()
        if last and not torn:
            raise BadDataset(f"{path} is cut off after line {len(lines)}")
        rows = []
        for number, line in enumerate(lines, 1):
            try:
                rows.append(adapter.validate_json(line))
            except ValidationError as error:
                where = ".".join(map(str, error.errors()[0]["loc"]))
                raise BadDataset(f"{path}:{number}: wrong value at {where or 'the top'}") from None
        return rows


@dataclass(frozen=True, slots=True)
class Guideline:
    """The guideline of a query, written by a judge."""

    query_id: int
    judge: str
    text: str
    tokens: int = 0  # that it cost
    answer_tokens: int = 0


class JudgmentFile:
    """A file of lines, open to append; every line is on disk when `append` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):  # a kill cut the last line off
            self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add judgments, and wait until they are on disk."""
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._file.write("".join(lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
