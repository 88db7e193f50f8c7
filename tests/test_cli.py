"""The command line: documented options, one-line errors, and imports on demand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.core import TyperOption

from tusou import __version__
from tusou.cli.main import VERBS
from tusou.core.lazy_import import LazyImport

ROOT = Path(__file__).parent.parent
DOCUMENTED = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def options_of(verb: str) -> list[TyperOption]:
    app = typer.Typer(add_completion=False)
    app.command(name=verb)(LazyImport(VERBS[verb][0]).load())  # type: ignore[type-var]
    params = typer.main.get_command(app).params
    return [part for part in params if isinstance(part, TyperOption) and not part.hidden]


def options(verb: str) -> list[str]:
    return [name for part in options_of(verb) for name in part.opts if name.startswith("--")]


def section(verb: str) -> str:
    match = re.search(rf"### `tusou {verb}[ `].*?(?=\n##|\Z)", DOCUMENTED, re.DOTALL)
    assert match, f"docs/cli.md has no section for {verb}"
    return match.group()


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_documented(verb: str) -> None:
    documented = set(re.findall(r"`(--[a-z-]+)", section(verb)))
    assert documented == set(options(verb))


@pytest.mark.parametrize("verb", VERBS)
def test_at_most_ten_options(verb: str) -> None:
    assert len(options(verb)) <= 10


@pytest.mark.parametrize("verb", VERBS)
def test_flags_have_no_negation(verb: str) -> None:
    assert [name for part in options_of(verb) for name in part.secondary_opts] == []


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in {"serve", "train"}])
def test_every_report_can_be_json(verb: str) -> None:
    assert [part.help for part in options_of(verb) if "--json" in part.opts] == ["Report as JSON."]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tusou", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['tusou', '--help']\n"
        "try:\n    from tusou.cli.main import main; main()\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'faiss', 'numpy', 'fastapi', 'cn_clip', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert re.search(rf"\b{verb}\b", done.stdout)


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"tusou {__version__}\n")


def test_a_tusou_error_is_one_line_and_exit_1(tmp_path: Path) -> None:
    done = run("info", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("corrupt_bundle: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["nonsense"], ["info"], ["info", "/does/not/exist"]])
def test_wrong_usage_is_exit_2(words: list[str]) -> None:
    assert run(*words).returncode == 2


def test_a_client_only_install_names_the_missing_extra(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules.update(dict.fromkeys(['pydantic', 'numpy', 'torch']))\n"
    call = (
        f"sys.argv = ['tusou', 'info', {str(tmp_path)!r}]\nfrom tusou.cli.main import main; main()"
    )
    command = [sys.executable, "-c", hidden + call]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"missing_dependency: .*install tusou\[cpu\]\n", done.stderr)


def test_an_install_without_charts_names_their_extra(tmp_path: Path) -> None:
    arguments = ["check", str(tmp_path), "--html", str(tmp_path / "page.html")]
    hidden = "import sys; sys.modules['matplotlib'] = None\n"
    call = f"sys.argv = ['tusou', *{arguments!r}]\nfrom tusou.cli.main import main; main()"
    command = [sys.executable, "-c", hidden + call]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"missing_dependency: .*'matplotlib': install tusou\[lab\]\n", done.stderr)
