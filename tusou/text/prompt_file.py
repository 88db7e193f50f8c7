"""Files with a prompt template per line."""

from pathlib import Path

from tusou.core.errors import BadDataset, InvalidRequest
from tusou.text.prompt import check_prompt

_PLACEHOLDER = "{query}"


def read_templates(path: Path) -> tuple[str, ...]:
    """Read a file with a template per line; the query follows a line without `{query}`.

    A line `{query}` is the query as it is; blank lines and repeats are skipped. Raises BadDataset
    with every line that holds `{query}` twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadDataset(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    templates: dict[str, None] = {}
    problems = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        template = line if _PLACEHOLDER in line else line + _PLACEHOLDER
        try:
            templates[check_prompt(template)] = None
        except InvalidRequest as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        raise BadDataset("\n  ".join([f"unusable templates: {len(problems)}", *problems]))
    if not templates:
        raise BadDataset(
            f"{path}: no templates; write one per line, for example 一张照片：{{query}}"
        )
    return tuple(templates)
