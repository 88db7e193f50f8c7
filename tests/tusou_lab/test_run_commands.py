"""Working folders, and commands as they are shown."""

import shlex
from pathlib import Path

import pytest
from tusou_lab.run_commands import CommandRunner, claim_folder

from tusou.core.errors import OutputExists


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.md").write_text("mine")
    with pytest.raises(OutputExists, match="give another --dir"):
        claim_folder(tmp_path, force=False)
    assert (tmp_path / "thesis.md").read_text() == "mine"


def test_an_earlier_run_is_replaced_and_other_files_by_force(tmp_path: Path) -> None:
    claim_folder(tmp_path / "new" / "run", force=False)
    (tmp_path / "new" / "run" / "data").mkdir()
    claim_folder(tmp_path / "new" / "run", force=False)
    assert [path.name for path in (tmp_path / "new" / "run").iterdir()] == [".tusou-demo"]
    (tmp_path / "thesis.md").write_text("mine")
    claim_folder(tmp_path, force=True)
    assert [path.name for path in tmp_path.iterdir()] == [".tusou-demo"]


def test_the_working_directory_is_emptied_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        claim_folder(Path(), force=False)
        Path("pred.jsonl").touch()
    assert (tmp_path / "pred.jsonl").exists()


def test_a_linked_folder_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").touch()
    claim_folder(tmp_path / "run", force=False)
    (tmp_path / "run" / "photos").symlink_to(tmp_path / "photos")
    claim_folder(tmp_path / "run", force=False)
    assert not (tmp_path / "run" / "photos").exists()
    assert (tmp_path / "photos" / "1.jpg").exists()


def test_a_command_is_shown_as_typed() -> None:
    lines: list[str] = []
    words = ["a b/data#test", "it's", "--index", "IVF64,Flat nprobe=4", "纯棉", "$HOME"]
    CommandRunner(lines.append).command("query", *words)
    assert lines[0].startswith("$ tusou query 'a b/data#test' ")
    assert shlex.split(lines[0])[3:] == words
    CommandRunner(lines.append).command("index", "flickr8k/data#test", "纯棉碎花吊带裙")
    assert lines[1] == "$ tusou index flickr8k/data#test 纯棉碎花吊带裙"
