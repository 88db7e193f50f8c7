"""The prompt templates that are compared, the published ones or a file's, and their mean."""

from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import BadDataset, InvalidRequest
from tusou.text.normalize import check_prompt

PLACEHOLDER = "{query}"
NONE = PLACEHOLDER  # a template that adds nothing
ENSEMBLE = "ensemble"

# The first two are those of the contest's users; the third, of theirs for images, stands before.
PUBLISHED = (
    NONE,
    "这是一个商品搜索：{query}",
    "用户正在搜索电商商品：{query}",
    "这是一张图片，里面存在商品：{query}",
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One way to put a query: a template, or the mean of several templates' vectors."""

    label: str
    templates: tuple[str, ...]

    @classmethod
    def of(cls, template: str | None) -> "Prompt":
        """Make the prompt of one template; None adds nothing."""
        return cls(template or NONE, (template or NONE,))


def with_ensemble(templates: tuple[str, ...]) -> tuple[Prompt, ...]:
    """Give each template as a prompt, and after several of them their mean."""
    mean = (Prompt(ENSEMBLE, templates),) if len(templates) > 1 else ()
    return (*map(Prompt.of, templates), *mean)


def read_templates(path: Path) -> tuple[str, ...]:
    """Read a template a line; one without `{query}` is put before the query.

    A line `{query}` is the query as it is; blank lines and repeats are skipped. BadDataset names
    every line that holds `{query}` twice.
    """
    templates: dict[str, None] = {}
    problems = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        template = line if PLACEHOLDER in line else line + PLACEHOLDER
        try:
            templates[check_prompt(template)] = None
        except InvalidRequest as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        raise BadDataset("\n  ".join([f"unusable templates: {len(problems)}", *problems]))
    if not templates:
        raise BadDataset(f"{path}: no templates; write one a line, such as {PUBLISHED[1]}")
    return tuple(templates)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadDataset(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
