"""`import tusou`: what it offers, and what it does not import."""

import subprocess
import sys

import pytest

import tusou


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_imports_httpx_and_nothing_heavy() -> None:
    code = (
        "import sys, tusou\n"
        "assert 'httpx' not in sys.modules\n"
        "print(tusou.__version__, tusou.errors.TusouError.__name__)\n"
        "print(tusou.Client.__name__, tusou.AsyncClient.__name__)\n"
        "heavy = {'numpy', 'torch', 'faiss', 'PIL', 'pydantic', 'typer', 'fastapi'}\n"
        "print(heavy & set(sys.modules))\n"
    )
    assert run(code).splitlines() == ["0.1.0 TusouError", "Client AsyncClient", "set()"]


def test_a_client_only_install_says_what_in_process_search_needs() -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['pydantic', 'numpy', 'torch', 'PIL']))\n"
        "import tusou\n"
        "try:\n    tusou.open_bundle('b')\n"
        "except tusou.errors.MissingDependency as error:\n    print(error)\n"
    )
    assert "install tusou[cpu]" in run(code)


def test_every_public_name_is_there_and_listed() -> None:
    assert set(tusou.__all__) <= set(dir(tusou))
    for name in tusou.__all__:
        assert getattr(tusou, name)
    with pytest.raises(AttributeError, match="no attribute 'open_bundel'"):
        _ = tusou.open_bundel  # type: ignore[attr-defined]
