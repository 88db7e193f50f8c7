"""The page about the Python API names every public method, member and error."""

import ast
import re
from pathlib import Path

import pytest
from tusou_client import AsyncClient, Client, Hits, errors

import tusou
from tusou.retrieval.local import LocalHits, LocalSearch

PAGE = (Path(__file__).parents[2] / "docs/python.md").read_text("utf-8")


def section(heading: str) -> str:
    match = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match
    return match[1]


def first_cells(heading: str) -> set[str]:
    """Return the code of the first column of a section's table."""
    rows = re.findall(r"^\| (`.*?) \|", section(heading), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_every_method_of_the_clients_is_described() -> None:
    assert first_cells("Client") == public(Client) == public(AsyncClient)


def test_every_method_of_an_open_bundle_is_described() -> None:
    assert first_cells("In the same process") == public(LocalSearch)


def test_every_member_of_hits_is_described() -> None:
    assert first_cells("Hits") == public(Hits) - {"count", "index"}
    assert public(LocalHits) - public(Hits) == {"bundle", "show"}


def test_every_error_of_a_call_is_described() -> None:
    kinds = {name for name, kind in vars(errors).items() if _is_client_error(kind)}
    of_commands = {"BadQueries", "LoadLimit", "PoolTooSmall", "UnfinishedRun"}
    assert first_cells("Errors") == kinds - of_commands - {"ClientError"}


def _is_client_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, errors.ClientError)


@pytest.mark.parametrize(
    "code", re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)
def test_its_examples_use_names_of_the_package(code: str) -> None:
    tree = ast.parse(code)
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "tusou"
    }
    assert used
    assert used <= set(tusou.__all__)
