"""Item ids: both types, both directions, wrong files, and blocks of lines."""

from pathlib import Path

import pytest

from tusou.bundle import item_ids
from tusou.bundle.item_ids import ItemIds
from tusou.core.errors import CorruptBundle

TEXTS = [
    "1.jpg#zhc#0",
    "图片/碎花裙 1.jpg",
    "007",
    "7",
    "-7",
    "",
    "1.jpg#zhc#1",
    "a\tb",
    "é",
    "e\u0301",
]
NUMBERS = ["12", "3", "0", "9007199254740993", "5"]


@pytest.fixture(params=[1, 4, 1 << 16], autouse=True)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_ids, "_BLOCK", request.param)


def read(folder: Path, text: str, *, integers: bool) -> ItemIds:
    (folder / "ids.txt").write_bytes(text.encode())
    return ItemIds(folder / "ids.txt", integers=integers)


@pytest.mark.parametrize("end", ["\n", ""], ids=["new-line", "no-new-line"])
def test_texts_are_found_by_row_and_by_id(tmp_path: Path, end: str) -> None:
    ids = read(tmp_path, "\n".join(TEXTS) + end, integers=False)
    assert [ids.at(key) for key in range(len(ids))] == TEXTS
    assert [ids.key(text) for text in TEXTS] == list(range(len(TEXTS)))
    assert [ids.key(text) for text in ("1.jpg", "8", "7\n-7", "\ud800", " 7", "E")] == [None] * 6
    with pytest.raises(IndexError):
        ids.at(len(TEXTS))


@pytest.mark.parametrize("end", ["\n", ""], ids=["new-line", "no-new-line"])
def test_numbers_are_found_by_row_and_by_id(tmp_path: Path, end: str) -> None:
    ids = read(tmp_path, "\n".join(NUMBERS) + end, integers=True)
    assert [ids.at(key) for key in range(len(ids))] == [int(number) for number in NUMBERS]
    assert [ids.key(number) for number in NUMBERS] == list(range(len(NUMBERS)))
    assert [ids.key(text) for text in ("13", "012", "+5", "", "5.0", "9" * 40)] == [None] * 6
    with pytest.raises(IndexError):
        ids.at(len(NUMBERS))


def test_texts_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_ids, "hash", len, raising=False)
    ids = read(tmp_path, "\n".join(TEXTS), integers=False)
    assert [ids.key(text) for text in TEXTS] == list(range(len(TEXTS)))
    assert ids.key("8") is None
    with pytest.raises(CorruptBundle, match=r"ids\.txt cannot be used: a duplicate id"):
        read(tmp_path, "ab\nba\nab\n", integers=False)


@pytest.mark.parametrize(
    ("content", "integers", "reason"),
    [
        (b"a\nb\na\n", False, "a duplicate id"),
        (b"3\n4\n3\n", True, "a duplicate id"),
        (b"3\n04\n", True, "an id is not an integer"),
        (b"3\n\n", True, "invalid literal"),
        (b"3\n99999999999999999999\n", True, "."),
        (b"a\n\xff\n", False, "utf-8"),
        (b"1\n\xff\n", True, "utf-8"),
    ],
)
def test_a_wrong_file_is_refused(
    tmp_path: Path, content: bytes, integers: bool, reason: str
) -> None:
    (tmp_path / "ids.txt").write_bytes(content)
    with pytest.raises(CorruptBundle, match=rf"ids\.txt cannot be used: .*{reason}"):
        ItemIds(tmp_path / "ids.txt", integers=integers)
