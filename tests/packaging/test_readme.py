"""Both READMEs say the same; their blocks can be pasted in order; their links lead somewhere."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import tusou
from tusou.cli.main import VERBS
from tusou.core.lazy_import import LazyImport

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

# Parameters of the commands that name files, by what happens to the file.
READ = {"queries", "answers", "bundle", "data", "source", "a", "b", "pool", "runs", "sweep"}
WRITTEN = {"out", "save", "html", "folder"}
# The files that `make demo` leaves in demo-run/ (`tusou_lab.demo.run_demo`).
DEMO_FILES = {
    "demo-run/data",
    "demo-run/data/MR_test_imgs.tsv",
    "demo-run/data/MR_test_queries.jsonl",
    "demo-run/bundle",
    "demo-run/test_pred.jsonl",
}


def blocks(readme: Path, language: str = "") -> list[str]:
    """Return the fenced blocks of a language, without their comments."""
    matches = BLOCK.finditer(readme.read_text("utf-8"))
    return [
        re.sub(r" +#.*", "", match["text"]) for match in matches if match["language"] == language
    ]


def shell_lines() -> list[list[str]]:
    """Return every command of the README's shell blocks in order, split as a shell splits it."""
    lines = [line for block in blocks(ENGLISH) for line in block.splitlines()]
    return [shlex.split(line) for line in lines]


def command(verb: str) -> typer.core.TyperCommand:
    app = typer.Typer(add_completion=False)
    app.command()(LazyImport(VERBS[verb][0]).load())  # type: ignore[type-var]
    parsed = typer.main.get_command(app)
    assert isinstance(parsed, typer.core.TyperCommand)
    return parsed


def parameters(verb: str, arguments: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and value of every parameter that a command line gives."""
    parser = command(verb).make_parser(typer.Context(command(verb)))
    options, rest, _ = parser.parse_args(list(arguments))
    assert rest == []
    for name, value in options.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            yield name, str(item)


@pytest.mark.parametrize("language", ["", "json", "python"])
def test_both_show_the_same_blocks(language: str) -> None:
    assert blocks(ENGLISH, language) == blocks(CHINESE, language)
    assert blocks(ENGLISH, language)


def test_both_have_the_same_sections_images_and_points() -> None:
    english, chinese = (readme.read_text("utf-8") for readme in READMES)
    for pattern in (r"^## ", r"^\* \*\*", r"^!\[.*\]\((.*)\)$"):
        english_matches = re.findall(pattern, english, re.MULTILINE)
        assert english_matches == re.findall(pattern, chinese, re.MULTILINE)
        assert english_matches


def test_each_links_to_the_pages_of_its_language() -> None:
    english, chinese = (
        re.findall(r"\]\((?!README|http)(.*?)\)", readme.read_text("utf-8")) for readme in READMES
    )

    def in_chinese(link: str) -> str:
        page = link.partition("#")[0]
        twin = page.replace("docs/", "docs/zh/", 1)
        return twin if page.startswith("docs/") and (ROOT / twin).is_file() else page

    assert sorted(map(in_chinese, english)) == sorted(link.split("#")[0] for link in chinese)


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)
def test_it_is_short_and_its_links_lead_somewhere(readme: Path) -> None:
    text = readme.read_text("utf-8")
    assert len(text.splitlines()) <= 150
    links = re.findall(r"\]\((?!http)(.*?)\)", text)
    assert links
    assert [link for link in links if not (ROOT / link.split("#")[0]).exists()] == []


def test_its_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = re.findall(r"^([a-z]+):", makefile, re.MULTILINE)
    targets_named = {words[1] for words in shell_lines() if words[0] == "make"}
    assert targets_named == {"demo"}
    assert targets_named <= set(targets)
    assert "tusou demo --dir demo-run\n" in makefile
    for page in (*READMES, ROOT / "CONTRIBUTING.md"):
        assert set(re.findall(r"`make ([a-z]+)", page.read_text("utf-8"))) <= set(targets)


@pytest.mark.parametrize(
    "words",
    [words for words in shell_lines() if words[0] == "tusou"],
    ids=lambda words: " ".join(words[1:3]),
)
def test_its_commands_parse(words: list[str]) -> None:
    assert list(parameters(words[1], words[2:]))


def test_every_file_exists_by_the_time_a_block_reads_it() -> None:
    present: set[str] = set()
    missing = []
    for words in shell_lines():
        if words[:2] == ["make", "demo"]:
            present |= DEMO_FILES | {".venv/bin/activate"}
        elif words[0] == "source":
            missing += [words[1]] if words[1] not in present else []
        elif words[0] == "docker":
            missing += [
                name for name in words if name.endswith(".yml") and not (ROOT / name).exists()
            ]
        elif words[0] == "tusou":
            given = list(parameters(words[1], words[2:]))
            paths = [value for name, value in given if name in READ and not value.isdigit()]
            read = [path.split("#")[0] for path in paths]
            read += [value for name, value in given if name == "model" and value.endswith(".pt")]
            missing += [path for path in read if path not in present]
            present |= {value for name, value in given if name in WRITTEN}
        else:
            assert words[0] == "curl"
    assert missing == []
    [code] = blocks(ENGLISH, "python")
    opened = re.findall(r'open_bundle\("(.*?)"\)', code)
    assert opened
    assert set(opened) <= present


def test_no_block_writes_what_an_earlier_one_wrote() -> None:
    outputs = [
        value
        for words in shell_lines()
        if words[0] == "tusou"
        for name, value in parameters(words[1], words[2:])
        if name in WRITTEN
    ]
    assert len(outputs) == len(set(outputs))
    assert DEMO_FILES.isdisjoint(outputs)


def test_a_command_that_keeps_running_is_the_last_of_its_block() -> None:
    for block in blocks(ENGLISH):
        lines = block.splitlines()
        running = [line.startswith(("tusou serve", "docker compose")) for line in lines]
        assert not any(running[:-1])


def test_its_extras_exist_and_its_compose_files_are_all() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    named = re.findall(r"\.\[([\w,]+)\]", ENGLISH.read_text("utf-8"))
    extras = {extra for names in named for extra in names.split(",")}
    assert extras == {"cpu", "data", "gpu", "heif", "lab", "otel"}
    assert all(f"\n{extra} = [" in project for extra in extras)
    files = {word for words in shell_lines() if words[0] == "docker" for word in words}
    assert {name for name in files if name.endswith(".yml")} == {
        path.name for path in ROOT.glob("docker-compose*.yml")
    }


def test_its_python_uses_names_that_exist() -> None:
    [code] = blocks(ENGLISH, "python")
    used = [
        node.attr
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "tusou"
    ]
    assert sorted(used) == ["Client", "open_bundle"]
    assert all(callable(getattr(tusou, name)) for name in [*used, "AsyncClient"])
    assert callable(tusou.Client.search)


def figures(name: str) -> dict[str, Any]:
    """Return the figures that a benchmark recorded."""
    path = ROOT / "benchmarks/results" / f"{name}.json"
    result: dict[str, Any] = json.loads(path.read_text("utf-8"))["figures"]
    return result


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)
def test_its_figures_are_those_that_were_measured(readme: Path) -> None:
    text = readme.read_text("utf-8")
    points = "".join(re.findall(r"^\* \*\*.*(?:\n  .*)*", text, re.MULTILINE))
    texts = figures("performance")["texts"]
    batches = [batch for batch in texts.values() if isinstance(batch, dict)]
    negation, reload = figures("negation"), figures("swaps")
    changes = [each["batched_upserts_per_s"] for each in figures("live_changes").values()]
    interpreted = negation[f"understood, refused part x {negation['weight in use']}"]
    expected = {
        f"{texts['batch 1']['tusou']['times_faster']:.1f}",
        str(min(batch["lowest cosine to stock"]["tusou"] for batch in batches)),
        f"{100 * (min(changes) // 100)}",
        f"{reload['reloads']}",
        f"{reload['clients']}",
        f"{reload['failed'] + reload['mixed']}",
        f"{100 * negation['as it is (interpret: false)']['refused']:.1f}",
        f"{100 * interpreted['refused']:.1f}",
        f"{figures('demo_model_test_3000')['percent']['mean_recall']:.1f}",
    }
    numbers = set(re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d),(?=\d{3})", "", points)))
    assert numbers - {"10", "95"} == expected  # the top 10, and 95 % intervals
