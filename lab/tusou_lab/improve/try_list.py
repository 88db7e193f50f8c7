"""The list of rungs to try, as `--try` gives them: feedback,hub,rerank:vectors:BUNDLE."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import InvalidRequest
from tusou_lab.improve.rungs import Rung, feedback_rung

NAMES = ("feedback",)


@dataclass(frozen=True, slots=True)
class TryOptions:
    """The files that some rungs need."""

    query_bank: str | None = None
    prompt_file: Path | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The options of the command line."""
        given = {"--query-bank": self.query_bank, "--prompt-file": self.prompt_file}
        return tuple(
            word
            for name, value in given.items()
            if value is not None
            for word in (name, str(value))
        )


def parse_try_list(texts: Sequence[str], options: TryOptions) -> list[Rung]:
    """Return the rungs in their order; InvalidRequest for an unknown name or a missing file."""
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if not names:
        raise InvalidRequest(f"--try names no rung; give some of {', '.join(NAMES)}")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InvalidRequest(f"--try names {repeated[0]} twice")
    return [_parse(name, options) for name in names]


def _parse(name: str, _options: TryOptions) -> Rung:
    if name == "feedback":
        return feedback_rung()
    raise InvalidRequest(f"--try {name}: the rungs are {', '.join(NAMES)}")
