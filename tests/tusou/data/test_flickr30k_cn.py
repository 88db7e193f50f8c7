"""Flickr30k-CN in folders of TextData, and Flickr30k-CNA's texts."""

from pathlib import Path

import pytest
from reading import read_items, read_queries, write_file

from tusou.core.errors import BadDataset
from tusou.data import ImageQuery, MissingPart, open_dataset


def photos(folder: Path) -> None:
    for number in (36979, 65567, 1000092795):
        write_file(folder / f"{number}.jpg", str(number))


def collection(root: Path, name: str, captions: str, ids: str) -> Path:
    write_file(root / name / "TextData" / f"seg.{name}.caption.txt", captions)
    write_file(root / name / "ImageSets" / f"{name}.txt", ids)
    return root


def segmented(root: Path) -> Path:
    collection(root, "flickr30kzhbbosontrain", "36979#zhb#0 一 个 人  在 跑\n", "36979\n")
    collection(root, "flickr30kzhbbosonval", "65567.jpg#zhb#0 狗 与 T恤 iPhone 6\n", "65567\r\n")
    # The test split translated by a machine, and by people.
    collection(root, "flickr30kzhbbosontest", "1000092795#zhb#0 两 人\n", "1000092795\n")
    captions = "1000092795#zhm#0 两:m 个:q 人:n 。:wj\n36979#zhm#0 别处:s 的:ude\n"
    return collection(root, "flickr30kzhmbosontest", captions, "1000092795\n9\n../1\n")


def test_words_are_joined_and_ids_are_numbers(tmp_path: Path) -> None:
    root = segmented(tmp_path)
    photos(root / "flickr30k-images" / "flickr30k-images")
    assert open_dataset(str(root)).splits() == ["train", "val", "test"]
    assert read_queries(f"{root}#train") == [("36979#zhb#0", "一个人 在跑", (36979,))]
    assert read_queries(f"{root}#val") == [("65567.jpg#zhb#0", "狗与T恤iPhone 6", (65567,))]
    assert read_items(f"{root}#train") == [("36979", b"36979")]
    assert open_dataset(f"{root}#val").image_queries() == [
        ImageQuery(1, 65567, ("65567.jpg#zhb#0",))
    ]


def test_captions_by_people_are_preferred_and_a_folder_can_be_given(tmp_path: Path) -> None:
    root = segmented(tmp_path)
    photos(root / "Images")
    # The second caption is of an image that is not in the split.
    assert read_queries(f"{root}#test") == [("1000092795#zhm#0", "两个人。", (1000092795,))]
    assert read_items(f"{root}#test") == [
        ("1000092795", b"1000092795"),
        (2, "cannot be read: No such file or directory"),
        (3, "a name that leaves the folder"),
    ]
    machine = root / "flickr30kzhbbosontest"
    assert read_queries(machine) == [("1000092795#zhb#0", "两人", (1000092795,))]
    assert read_items(machine) == [("1000092795", b"1000092795")]


def test_images_are_found_beside_the_folder_of_folders(tmp_path: Path) -> None:
    root = segmented(tmp_path / "flickr30k-cn")
    photos(tmp_path / "images")  # perhaps of another dataset
    with pytest.raises(MissingPart, match="its images are missing"):
        open_dataset(f"{root}#train").images()
    photos(tmp_path / "flickr30k-images")
    assert read_items(f"{root}#train") == [("36979", b"36979")]


def test_a_file_of_captions_can_be_given(tmp_path: Path) -> None:
    root = segmented(tmp_path)
    name = "flickr30kzhbbosontest"
    assert len(read_queries(root / name / "TextData" / f"seg.{name}.caption.txt")) == 1


def annotated(root: Path) -> Path:
    write_file(
        root / "train" / "flickr30k_cna_train.txt", "\ufeff36979\t一个人。\r\n36979\t有人\t在跑\r\n"
    )
    write_file(root / "val" / "flickr30k_cna_val.txt", "65567\t一只狗\n65567\t一只狗\n无\n")
    write_file(root / "test" / "flickr30k_cn_test.txt", "1000092795#zhm#0\t两个人\n")
    photos(root / "Flickr30k-images")
    return root


def test_annotated_texts_of_each_split(tmp_path: Path) -> None:
    root = annotated(tmp_path)
    assert open_dataset(str(root)).splits() == ["train", "val", "test"]
    assert read_queries(f"{root}#train") == [
        ("36979#0", "一个人。", (36979,)),
        ("36979#1", "有人\t在跑", (36979,)),
    ]
    reason = "expected IMAGE#NUMBER, a tab or blank, and the caption"
    assert read_queries(f"{root}#valid")[0] == (3, reason)
    assert read_queries(f"{root}#test") == [("1000092795#zhm#0", "两个人", (1000092795,))]
    assert read_items(f"{root}#train") == [("36979", b"36979")]
    assert read_items(root / "val" / "flickr30k_cna_val.txt") == [("65567", b"65567")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_table_of_the_same_name_is_read(tmp_path: Path, encoding: str) -> None:
    table = 'image,caption\n36979.jpg,一个人,在跑\n65567.jpg,"狗,和猫"\n'
    write_file(tmp_path / "flickr30k_cn_test.txt", table.encode(encoding))
    photos(tmp_path / "Images")
    assert read_queries(tmp_path) == [
        ("36979#0", "一个人,在跑", (36979,)),
        ("65567#0", "狗,和猫", (65567,)),
    ]
    assert [item[0] for item in read_items(tmp_path)] == ["36979", "65567"]


def test_the_columns_of_a_table_may_be_in_any_order(tmp_path: Path) -> None:
    path = write_file(tmp_path / "flickr30k_cn_test.txt", "caption,image\n狗,7.JPG\n猫,\n")
    assert read_queries(path) == [(3, "empty id"), ("7#0", "狗", (7,))]


def test_a_header_with_tabs_is_no_caption(tmp_path: Path) -> None:
    path = write_file(tmp_path / "flickr30k_cn_test.txt", "Caption\timage\n狗\t7.jpg\n")
    with pytest.raises(BadDataset, match="line 1: expected IMAGE#NUMBER"):
        open_dataset(str(path)).queries()


def test_flickr8k_beside_flickr30k_is_ambiguous(tmp_path: Path) -> None:
    root, name = segmented(tmp_path), "flickr8kzhcbosontrain"
    write_file(root / name / "TextData" / f"seg.{name}.caption.txt", "1_a#zhc#0 猫:n\n")
    with pytest.raises(BadDataset, match="holds Flickr8k-CN and Flickr30k-CN; give a folder"):
        open_dataset(str(root))
    assert read_queries(root / name) == [("1_a#zhc#0", "猫", ("1_a",))]


def test_captions_of_all_of_flickr8k_come_before_those_of_a_split(tmp_path: Path) -> None:
    name = "flickr8kzhmbosontest"
    write_file(tmp_path / name / "TextData" / f"seg.{name}.caption.txt", "1_a#zhm#0 狗:n\n")
    write_file(tmp_path / "Images" / "1_a.jpg", "a")
    write_file(tmp_path / "flickr8kzhc.caption.txt", "1_a.jpg#zhc#0 猫\n")
    assert read_queries(tmp_path) == [("1_a.jpg#zhc#0", "猫", ("1_a.jpg",))]
    assert read_queries(tmp_path / name) == [("1_a#zhm#0", "狗", ("1_a",))]
