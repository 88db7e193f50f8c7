"""The command line: documented options, one-line errors, and imports on demand."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest
import typer
from tusou_service.settings import Settings
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


# A search takes a filter and names attributes beside its other parts.
MOST_OPTIONS = {
    "report": 12,
    "index": 31,
    "embed": 11,
    "stages": 22,
    "query": 17,
    "replay": 12,
    "evaluate": 17,  # rankings, and labelled pairs
    "evalset judge": 15,
    "train": 50,
    "distil": 13,
    "serve": 11,
}


@pytest.mark.parametrize("verb", VERBS)
def test_an_option_is_rare(verb: str) -> None:
    assert len(options(verb)) <= MOST_OPTIONS.get(verb, 10)


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
        assert re.search(rf"\b{verb.partition(' ')[0]}\b", done.stdout)


@pytest.mark.parametrize("words", [["-h"], ["info", "-h"]])
def test_h_is_help(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 0
    assert "Usage: " in done.stdout


def test_the_help_of_serve_shows_every_setting_and_its_default() -> None:
    shown = " ".join(run("serve", "--help").stdout.split())
    for name, field in Settings.model_fields.items():
        assert f"TUSOU_{name.upper()} (" in shown
        assert str(field.description).split()[0] in shown
    assert "TUSOU_TIMEOUT_MS (2000): Time limit of a search" in shown


def test_quiet_prints_results_only(tmp_path: Path) -> None:
    size = ["--items", "6", "--queries", "2", "--splits", "test"]
    loud, quiet = (
        run("toy", str(tmp_path / name), *size, *option)
        for name, option in (("loud", []), ("quiet", ["-q"]))
    )
    assert "drawing test 6/6" in loud.stderr
    assert (quiet.returncode, quiet.stderr, quiet.stdout) == (0, "", loud.stdout)


def test_verbose_shows_where_an_error_arose(tmp_path: Path) -> None:
    plain, verbose = (run("info", str(tmp_path), *option) for option in ([], ["-v"]))
    assert verbose.stderr.endswith(plain.stderr)
    assert "Traceback" in verbose.stderr
    assert "Traceback" not in plain.stderr
    assert run("info", str(tmp_path), "-q", "-v").returncode == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [("tusou eval", {"evaluate"}), ("tusou verify --", {"--json", "--quiet", "--verbose"})],
)
def test_a_shell_completes_verbs_and_their_options(line: str, expected: set[str]) -> None:
    words = line.split()
    environment = {
        **os.environ,
        "_TUSOU_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'tusou'; from tusou.cli.main import main; main()",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert expected <= set(done.stdout.split())


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    size = ["--items", "300", "--queries", "2", "--splits", "test"]
    assert run("toy", str(folder), *size).returncode == 0
    return folder / "MR_test_imgs.tsv"


# Tests run in the background of a shell ignore Ctrl-C, and so would the processes that they start.
INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from tusou.cli.main import main
main()
"""


@pytest.mark.services
@pytest.mark.parametrize(
    ("number", "codes"),
    # Python ends itself by SIGINT if that arrived within `exec`; a shell shows 130 for both.
    [(signal.SIGINT, {130, -signal.SIGINT}), (signal.SIGTERM, {143})],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_an_interrupted_index_says_how_to_go_on(
    pool: Path, tmp_path: Path, number: signal.Signals, codes: set[int]
) -> None:
    out = tmp_path / "bundle"
    words = ["index", str(pool), "--out", str(out), "--model", "demo"]
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not list(out.glob("*")):  # until the build has begun
            assert process.poll() is None
            sleep(0.01)
        os.killpg(process.pid, number)  # as a terminal does
        error = process.communicate()[1]
    assert process.returncode in codes, error
    assert error.splitlines()[-1] == (
        "interrupted: what is finished is kept, and the same command continues there"
    )
    assert "Traceback" not in error
    assert run(*words).returncode == 0


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


@pytest.mark.parametrize(
    "arguments", [["--version"], ["check", "tests/cases/queries-plain-text.txt"]]
)
def test_output_that_cannot_be_written_is_one_line(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "tusou", *arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, check=False, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
    last = done.stderr.splitlines()[-1]
    assert (done.returncode, last) == (1, "io_error: No space left on device")
    assert "Traceback" not in done.stderr
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` does when it has read enough
    piped = subprocess.run(
        command, check=False, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    os.close(writing)
    assert "rror" not in piped.stderr
