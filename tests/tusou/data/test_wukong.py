"""Wukong's tables: the test split with its images, and the training split of addresses."""

from pathlib import Path

import pytest
from reading import read_items, read_queries, write_file

from tusou.core.errors import BadDataset
from tusou.data import ImageQuery, MissingPart, open_dataset
from tusou.evaluation.judgments import read_judgments

HEADER = "dir,text,token,url\n"
TABLE = (
    f"{HEADER}0001-1.jpg,\"红色,连衣裙\",\"['红色', '连衣裙']\",http://a/1.jpg\r\n"
    "0002-7.jpg,“ＡＢＣ”\t新款,[],http://a/2.gif\n"
    "0001-1.jpg,再来一句,[],http://a/1.jpg\n"
    ",无名,[],http://a/3.jpg\n"
    "../4.jpg,外面,[],http://a/4.jpg\n"
    "0005-0.jpg,没有这张,[],http://a/5.jpg\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("folder", ["wukong_test_images", "wukong_test", ".", "../images"])
def test_the_test_split_names_its_images(tmp_path: Path, encoding: str, folder: str) -> None:
    root = tmp_path / "data"
    write_file(root / "wukong_test.csv", TABLE.encode(encoding))
    for name in ("0001-1.jpg", "0002-7.jpg"):
        write_file(root / folder / name, name)
    assert open_dataset(str(root)).splits() == ["test"]
    assert read_items(root) == [
        ("0001-1.jpg", b"0001-1.jpg"),
        ("0002-7.jpg", b"0002-7.jpg"),
        (5, "empty id"),
        (6, "a name that leaves the folder"),
        (7, "cannot be read: No such file or directory"),
    ]
    assert read_queries(root)[:4] == [
        (5, "empty id"),
        ("0001-1.jpg#0", "红色,连衣裙", ("0001-1.jpg",)),
        ("0002-7.jpg#0", "“ＡＢＣ”\t新款", ("0002-7.jpg",)),
        ("0001-1.jpg#1", "再来一句", ("0001-1.jpg",)),
    ]


def test_a_table_and_its_column_caption_can_be_given(tmp_path: Path) -> None:
    path = write_file(tmp_path / "wukong_test.csv", "dir,caption\n1.jpg,红色, 连衣裙\n")
    write_file(tmp_path / "1.jpg", "a")
    assert read_queries(path) == [("1.jpg#0", "红色, 连衣裙", ("1.jpg",))]
    assert open_dataset(str(path)).image_queries() == [ImageQuery(1, "1.jpg", ("1.jpg#0",))]


def test_other_columns_are_refused(tmp_path: Path) -> None:
    path = write_file(tmp_path / "wukong_test.csv", "image,text\n1.jpg,裙\n")
    with pytest.raises(BadDataset, match=r":1: the first line must name .*; it holds image,text$"):
        read_queries(path)


def test_the_training_split_has_texts_and_no_images(tmp_path: Path) -> None:
    write_file(tmp_path / "wukong_100m_10.csv", "url,caption\nhttp://a/3.jpg,三\n")
    write_file(tmp_path / "wukong_100m_9.csv", "url,caption\nhttp://a/1.jpg,一, 还有\nhttp\n")
    write_file(tmp_path / "wukong_test.csv", f"{HEADER}1.jpg,裙,[],http://a\n")
    assert open_dataset(str(tmp_path)).splits() == ["train", "test"]
    assert read_queries(f"{tmp_path}#train") == [
        ("wukong_100m_9#2", "一, 还有", None),
        (3, "1 cells where the header names 2"),
        ("wukong_100m_10#2", "三", None),
    ]
    with pytest.raises(MissingPart, match="addresses, no images; download them with img2dataset"):
        open_dataset(f"{tmp_path}#train").images()


def test_a_table_is_read_as_judgments_of_both_directions(tmp_path: Path) -> None:
    table = write_file(tmp_path / "wukong_test.csv", "dir,text,token,url\n1.jpg,裙,[],http://a\n")
    [row] = read_judgments(str(table)).rows
    assert (row.query_id, row.text, row.correct) == ("1.jpg#0", "裙", ["1.jpg"])
    [row] = read_judgments(str(table), "image_to_text").rows
    assert (row.query_id, row.correct) == ("1.jpg", ["1.jpg#0"])
