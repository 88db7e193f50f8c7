"""The author's notes: a text file that becomes a section of the report."""

import re
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou_lab.report.model import ReportPart


def read_notes(path: Path) -> list[ReportPart]:
    """Return the paragraphs of a file, which blank lines separate; a line `# ...` is a heading.

    Raises BadDataset for a file that is not UTF-8 or has no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadDataset(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    parts = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        lines = block.strip().splitlines()
        while lines and lines[0].startswith("#"):
            parts.append(ReportPart(lines.pop(0).lstrip("# ")))
        if lines:
            parts.append(ReportPart(text=" ".join(lines)))
    if not parts:
        raise BadDataset(f"{path}: no text to show as notes")
    return parts
