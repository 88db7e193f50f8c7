"""Metadata of the wheel: a description without relative links, licence files, no false address."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_description_links_to_nothing_in_the_repository() -> None:
    text = (ROOT / PROJECT["readme"]).read_text("utf-8")
    assert PROJECT["readme"].endswith(".md")  # its type follows from its name
    targets = re.findall(r"\]\((.*?)\)|<(?:img|a) [^>]*?(?:src|href)=\"(.*?)\"", text)
    assert [target for target in targets if not "".join(target).startswith("https://")] == []


def test_the_description_names_extras_that_exist() -> None:
    text = (ROOT / PROJECT["readme"]).read_text("utf-8")
    named = {name for names in re.findall(r"tusou\[([\w,]+)\]", text) for name in names.split(",")}
    assert named
    assert named <= PROJECT["optional-dependencies"].keys()


def test_the_licence_files_are_named_and_no_address_is_invented() -> None:
    assert PROJECT["license-files"] == ["LICENSE", "NOTICE"]
    assert all((ROOT / name).is_file() for name in PROJECT["license-files"])
    assert "urls" not in PROJECT


def test_the_classifiers_cover_the_pythons_supported() -> None:
    pythons = [name for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    minors = [int(name.rpartition(".")[2]) for name in pythons]
    assert PROJECT["requires-python"] == f">=3.{min(minors)},<3.{max(minors) + 1}"
    assert sorted(PROJECT["classifiers"]) == PROJECT["classifiers"]
    assert not [name for name in PROJECT["classifiers"] if name.startswith("License")]
