"""Teddy Cup's tables in four encodings, with quoted line breaks and names that leave the folder."""

from pathlib import Path

import pytest
from reading import read_items, read_queries, write_file

from tusou.core.errors import BadDataset
from tusou.data import ImageQuery, open_dataset

PAIRS = 'image_id,caption\nImage1.jpg,"<人名>,写真\r\n下载 "\nImage1.jpg,再来\nImage2.jpg,裙子 \n'


def teddy(root: Path) -> Path:
    for attachment in ("附件1", "附件2", "附件3"):
        for name in ("Image1.jpg", "Image2.jpg"):
            write_file(root / attachment / "ImageData" / name, name)
    write_file(root / "附件1" / "ImageWordData.csv", PAIRS)
    write_file(root / "附件2" / "word_test.csv", "text_id,caption\nWord-1,裙子\nWord-2,\n")
    write_file(root / "附件2" / "image_data.csv", "image_id\nImage2.jpg\nImage1.jpg\nImage1.jpg\n")
    write_file(root / "附件3" / "image_test.csv", "image_id\nImage1.jpg\nImage9.jpg\n")
    write_file(root / "附件3" / "word_data.csv", "text_id,caption\nWord-7,鞋\n")
    return root


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_pairs_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    write_file(tmp_path / "ImageWordData.csv", PAIRS.encode(encoding))
    write_file(tmp_path / "ImageData" / "Image1.jpg", "a")
    assert read_queries(tmp_path) == [
        ("Image1.jpg#0", "<人名>,写真\n下载 ", ("Image1.jpg",)),
        ("Image1.jpg#1", "再来", ("Image1.jpg",)),
        ("Image2.jpg#0", "裙子 ", ("Image2.jpg",)),
    ]
    assert read_items(tmp_path) == [
        ("Image1.jpg", b"a"),
        (5, "cannot be read: No such file or directory"),
    ]


def test_attachments_are_splits(tmp_path: Path) -> None:
    data = open_dataset(str(teddy(tmp_path)))
    assert data.splits() == ["train", "i2t", "t2i"]
    assert read_queries(f"{tmp_path}#t2i") == [("Word-1", "裙子", None), ("Word-2", "", None)]
    images = read_items(f"{tmp_path}#t2i")  # repeated names stay: the index reports duplicates
    assert [item[0] for item in images] == ["Image2.jpg", "Image1.jpg", "Image1.jpg"]
    assert read_queries(f"{tmp_path}#i2t") == [("Word-7", "鞋", None)]
    assert data.image_queries("i2t") == [
        ImageQuery(1, "Image1.jpg", ()),
        ImageQuery(2, "Image9.jpg", ()),
    ]
    assert data.image_queries("train") == [
        ImageQuery(1, "Image1.jpg", ("Image1.jpg#0", "Image1.jpg#1")),
        ImageQuery(2, "Image2.jpg", ("Image2.jpg#0",)),
    ]


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/passwd", "a/../../b.jpg", "..\\x.jpg", "C:x.jpg"]
)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    write_file(tmp_path / "secret.jpg", "secret")
    write_file(tmp_path / "ImageWordData.csv", f"image_id,caption\n{name},秘密\nImage1.jpg,裙\n")
    write_file(tmp_path / "ImageData" / "Image1.jpg", "a")
    assert read_items(tmp_path) == [(2, "a name that leaves the folder"), ("Image1.jpg", b"a")]


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    write_file(tmp_path / "word_test.csv", "text_id,caption\nWord-1,裙\n")
    with pytest.raises(BadDataset, match=r"image_data\.csv is missing"):
        read_items(tmp_path)
