"""The NOTICE names NVIDIA's libraries."""

import re
from pathlib import Path

from tests.packaging.test_locks import LOCKS, requirements

ROOT = Path(__file__).parents[2]
NOTICE = (ROOT / "NOTICE").read_text("utf-8")


def test_it_lists_every_library_of_nvidia_in_the_locks_and_no_other() -> None:
    locked = {line.split("==")[0] for lock in LOCKS for line in requirements(lock)}
    of_nvidia = {name for name in locked if name.startswith(("nvidia-", "cuda-"))}
    assert of_nvidia
    assert set(re.findall(r"^  ((?:nvidia|cuda)-[\w-]+)$", NOTICE, re.MULTILINE)) == of_nvidia
