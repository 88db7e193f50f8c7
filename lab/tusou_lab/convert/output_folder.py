"""Folders that a command writes: they appear once complete, and only its own are replaced."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tusou.core.errors import OutputExists


@contextmanager
def output_folder(out: Path, mark: str, command: str, *, force: bool) -> Iterator[Path]:
    """Yield a temporary folder that becomes `out` at the end, unless an error is raised.

    The block writes the file `mark` last: a folder that has it was made by the command and is
    complete. Raises OutputExists if `out` exists, unless it has the mark and `force` is set.
    """
    if out.exists() and (not force or not (out / mark).is_file()):
        advice = "choose another folder" if force else "choose another, or give --force"
        raise OutputExists(f"{out} exists{f' and was not made by {command}' * force}: {advice}")
    temporary = out.with_name(f".{out.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if out.exists():
            shutil.rmtree(out)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
