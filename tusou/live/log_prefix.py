"""Reads the log of a bundle, up to what is on the disk, while another process may write it."""

from contextlib import closing
from pathlib import Path

from tusou.core.errors import Locked
from tusou.live.log import LiveLog
from tusou.live.log_file import LogFile, log_path, read_mark


def open_prefix(root: Path, at_least: int) -> tuple[LogFile, int] | None:
    """Return the log, and the position up to which it is on the disk; None if there is no log.

    What a service appends later is not part of it. Without a service, a torn tail is cut.
    """
    if not log_path(root).is_file():
        return None
    try:
        log = LiveLog(root, at_least=at_least, wait=0)
    except Locked:
        position = read_mark(root)  # first: a later log has all of it
        return LogFile(log_path(root)), position or 0
    with closing(log):
        return LogFile(log_path(root)), log.position


def trim_log(root: Path, position: int) -> bool:
    """Cut the records up to a position, unless a service has the log, which does so itself.

    Returns whether they are cut. Raises OSError when the disk refuses; the log is then as it was.
    """
    if not log_path(root).is_file():
        return True
    try:
        log = LiveLog(root, at_least=position, wait=0)
    except Locked:
        return False
    with closing(log):
        log.trim(position)
    return True
