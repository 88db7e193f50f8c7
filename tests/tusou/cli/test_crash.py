"""Ends of a verb that no Python code can catch."""

import signal
import subprocess
import sys

CRASH = """
import ctypes
from tusou.cli import main
main._app = lambda verb: lambda: ctypes.string_at(0)
main.main()
"""


def test_a_library_that_crashes_leaves_a_line_and_the_place() -> None:
    done = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, check=False)
    assert done.returncode == -signal.SIGSEGV
    assert done.stderr.startswith(b"Fatal Python error: Segmentation fault")
