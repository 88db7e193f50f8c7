"""The content of `student.json`: the teacher, the training, and what the student retains."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from tusou.bundle.record import Count, Digest, Dimension, Record, Share

FORMAT = 1
RECORD = "student.json"
TABLE, CHECKPOINT, GOLDEN = "table.safetensors", "model.pt", "golden.safetensors"

StudentSize: TypeAlias = Literal["table", "small", "medium"]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class Figure(Record):
    """A figure with its 95 % interval."""

    value: _Number
    low: _Number
    high: _Number


class TeacherRecord(Record):
    """The model whose vectors of queries the student gives."""

    name: str
    sha256: Digest  # as in the manifest of a bundle
    dim: Dimension
    templates: tuple[str, ...]  # prompts that the teacher's queries are put into, the student's not


class DistillationRecord(Record):
    """The texts and the course of the training."""

    queries: Count  # different texts of the query files, without those that measured it
    composed: Count  # texts made of the words of queries, titles and attributes
    texts_sha256: Digest  # of all these texts
    steps: Count  # 0 for a table, which is solved
    loss: _Number  # at the end
    settings: dict[str, str | int | float]
    seconds: _Number
    date: str
    machine: str
    tusou: str


class AnswersRetention(Record):
    """The mean_recall of both on judged queries, as shares; all intervals are paired."""

    data: str  # the name of the file or split
    queries: Count
    interpret: bool = True  # what a query refuses was subtracted
    teacher: Figure
    student: Figure
    difference: Figure  # student less teacher
    retained: Figure | None  # student as a share of the teacher; None if that has nothing


class RetentionRecord(Record):
    """The share of the teacher's results that is retained, on texts that were not trained on."""

    bundle: str  # the version that was searched
    texts: Count  # held out of the query files
    cosine: Figure  # with the teacher's vector
    overlap_at_10: Figure  # share of the teacher's first ten items among the student's
    answers: tuple[AnswersRetention, ...] = ()


class StudentTuning(Record):
    """Search parameters with which an approximate index finds enough for the student's queries."""

    index_sha256: Digest  # of the index file that was measured
    factory: str
    tuning: str
    index_recall_at_10: Share  # with these parameters
    before: Share  # with the bundle's own
    target_recall: Share
    queries: Count


class StudentFile(Record):
    """Size and digest of one file."""

    size: Count
    sha256: Digest


class StudentRecord(Record):
    """The content of `student.json`."""

    format: int
    size: StudentSize
    teacher: TeacherRecord
    tokenizer: Literal["chinese-clip"]
    training: DistillationRecord
    retention: RetentionRecord | None = None  # None while it is being measured
    tuning: StudentTuning | None = None  # None for an exact index
    files: dict[str, StudentFile]
