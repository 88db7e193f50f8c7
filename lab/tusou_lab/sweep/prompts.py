"""Prompt templates to compare: the published ones or those of a file, and their ensemble."""

from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import BadDataset, InvalidRequest
from tusou.text.prompt import check_prompt

PLACEHOLDER = "{query}"
NO_TEMPLATE = PLACEHOLDER
ENSEMBLE = "ensemble"

# The second and third were published for queries of the MUGE contest, the fourth for its images.
PUBLISHED = (
    NO_TEMPLATE,
    "这是一个商品搜索：{query}",
    "用户正在搜索电商商品：{query}",
    "这是一张图片，里面存在商品：{query}",
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One template, or the mean of the vectors under several templates."""

    label: str
    templates: tuple[str, ...]

    @classmethod
    def of(cls, template: str | None) -> "Prompt":
        """Return the prompt of one template; None leaves the query as it is."""
        return cls(template or NO_TEMPLATE, (template or NO_TEMPLATE,))


def with_ensemble(templates: tuple[str, ...]) -> tuple[Prompt, ...]:
    """Return a prompt per template and, if there are several, one for their mean."""
    mean = (Prompt(ENSEMBLE, templates),) if len(templates) > 1 else ()
    return (*map(Prompt.of, templates), *mean)


def read_templates(path: Path) -> tuple[str, ...]:
    """Read a file with a template per line; the query follows a line without `{query}`.

    A line `{query}` is the query as it is; blank lines and repeats are skipped. Raises BadDataset
    with every line that holds `{query}` twice.
    """
    templates: dict[str, None] = {}
    problems = []
    for number, line in enumerate(_read_lines(path), start=1):
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
        raise BadDataset(f"{path}: no templates; write one per line, for example {PUBLISHED[1]}")
    return tuple(templates)


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadDataset(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
