"""The output of `tusou info` for a student."""

from pathlib import Path

from tusou.encoders.student.folder import Student
from tusou.encoders.student.record import RECORD, Figure, StudentRecord


def is_student(path: Path) -> bool:
    """Return whether a folder is one of a student."""
    return (path / RECORD).is_file()


def student_rows(student: Student) -> dict[str, str]:
    """Return what a student is, as rows of a table."""
    record = student.record
    teacher, training = record.teacher, record.training
    files = ", ".join(f"{name} ({file.size:,} bytes)" for name, file in record.files.items())
    return {
        "student": f"{student.name} (sha256 {student.sha256[:12]})",
        "teacher": f"{teacher.name} (sha256 {teacher.sha256[:12]}, {teacher.dim} dimensions)",
        "prompt": " | ".join(teacher.templates) or "none",
        "training": f"{training.queries:,} queries, {training.composed:,} further texts, "
        f"{training.steps:,} steps, {training.seconds:.0f} s on {training.date}",
        **_retention_rows(record),
        "index": _describe_tuning(record),
        "files": files,
    }


def _retention_rows(record: StudentRecord) -> dict[str, str]:
    retention = record.retention
    assert retention is not None  # `open_student` refuses a student without it
    rows = {
        "retained": f"cosine {_percent(retention.cosine)}, overlap of the top 10 "
        f"{_percent(retention.overlap_at_10)}, on {retention.texts:,} held-out texts and "
        f"bundle version {retention.bundle}"
    }
    for number, answers in enumerate(retention.answers, start=1):
        rows[f"judged {number}"] = (
            f"{answers.data}, {answers.queries:,} queries: mean_recall "
            f"{_percent(answers.student)}, with the teacher {_percent(answers.teacher)}"
        )
    return rows


def _describe_tuning(record: StudentRecord) -> str:
    tuning = record.tuning
    if tuning is None:
        return "not tuned: the one that it was distilled with is exact"
    return (
        f"{tuning.factory} {tuning.tuning}, index_recall@10 {100 * tuning.index_recall_at_10:.2f} "
        f"% (with the bundle's own parameters {100 * tuning.before:.2f} %)"
    )


def _percent(figure: Figure) -> str:
    return f"{100 * figure.value:.2f} % ({100 * figure.low:.2f} .. {100 * figure.high:.2f})"
