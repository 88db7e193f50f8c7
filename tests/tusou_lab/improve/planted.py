"""The type of a function that writes judged queries with a known effect of feedback."""

from collections.abc import Callable, Sequence
from pathlib import Path

# Writes queries whose correct items feedback moves up (True) or down (False), one for each.
WriteAnswers = Callable[[Path, Sequence[bool]], Path]
