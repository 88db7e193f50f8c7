"""Writes the service's settings into docker-compose.yml and .env.example.

python -m tests.packaging.settings_files
"""

import re
from pathlib import Path

from tusou_service.settings import Settings

ROOT = Path(__file__).parents[2]
# The container fixes these, or docker-compose.yml names them elsewhere.
SET_ELSEWHERE = frozenset({"bundle", "host", "port", "publish", "api_keys", "models"})
# Explained by hand in .env.example.
EXPLAINED = frozenset({"model", "hub", "open"})
BLOCK = re.compile(r"(?<=# settings\n).*?(?=^ *# end of settings$)", re.MULTILINE | re.DOTALL)


def compose_block() -> str:
    """Return a line of `environment` for each setting that is passed on."""
    names = [f"TUSOU_{name.upper()}" for name in Settings.model_fields if name not in SET_ELSEWHERE]
    return "".join(f"      {name}: ${{{name}:-}}\n" for name in names)


def example_block() -> str:
    """Return a commented-out line with its default for each setting that is passed on."""
    fields = Settings.model_fields.items()
    shown = [
        (name, field.default)
        for name, field in fields
        if name not in SET_ELSEWHERE and name not in EXPLAINED
    ]
    return "".join(f"#TUSOU_{name.upper()}={_value(default)}\n" for name, default in shown)


def _value(default: object) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "" if default in (None, frozenset()) else str(default)


def filled(name: str, block: str) -> str:
    """Return the text of a file with the block between its two marks."""
    text, count = BLOCK.subn(block, (ROOT / name).read_text("utf-8"))
    assert count == 1, f"{name} has no marks"
    return text


FILES = {"docker-compose.yml": compose_block, ".env.example": example_block}

if __name__ == "__main__":
    for name, block in FILES.items():
        (ROOT / name).write_text(filled(name, block()), "utf-8")
