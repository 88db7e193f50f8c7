"""COCO-CN in the form of its archive: lists of ids, captions, translations and segmented texts."""

from pathlib import Path

import pytest
from reading import read_items, read_queries, write_file

from tusou.core.errors import BadDataset
from tusou.data import ImageQuery, MissingPart, open_dataset

# As in the archive: human-written captions have a tab, translations a blank.
DOG, CAT, BUS = (
    "COCO_train2014_000000503310",
    "COCO_val2014_000000123456",
    "COCO_val2014_000000000042",
)
WRITTEN = (
    f"{DOG}#0\t一只狗\t趴在长椅上\n{CAT}#0\t两只猫，“坐着”\n"
    f"{CAT}#1\t窗台上的猫\n{BUS}#0\t１路公交车\n"
)
TRANSLATED = f"{CAT}#zhm#3 一只猫坐着。\n{CAT}#zhm#1 猫 在窗边\n"
SEGMENTED = f"{CAT}#0 两:m 只:q 猫:n ，:wd 坐着:v 。:wj \n{CAT}#1 T恤:n 和:c WiFi:n 2020:m 年:q\n"


def coco(root: Path, *, images: str = "") -> Path:
    archive = root / "coco-cn-version1805v1.1"
    write_file(archive / "coco-cn_train.txt", f"{DOG}\n")
    write_file(archive / "coco-cn_val.txt", f"\ufeff{BUS}\r\n")
    write_file(archive / "coco-cn_test.txt", f"{CAT}")  # no line end at the end
    write_file(archive / "._coco-cn_test.txt", b"\x00\xa2\xb0Mac OS X")
    write_file(archive / "imageid.human-written-caption.txt", WRITTEN)
    write_file(archive / "._imageid.human-written-caption.txt", b"\x00\xa2\xb0Mac OS X")
    write_file(archive / "imageid.manually-translated-caption.txt", TRANSLATED)
    write_file(archive / "imageid.human-written-caption.bosonseg.txt", SEGMENTED)
    write_file(archive / "imageid.human-written-tags.txt", f"{DOG} 狗 长椅\n")
    for name in (DOG, CAT):
        folder = "train2014" if "train" in name else "val2014"
        write_file(root / images / folder / f"{name}.jpg", name)
    return root


@pytest.mark.parametrize("images", ["", "images", "coco-cn-version1805v1.1"])
def test_lists_divide_the_images_of_cocos_folders(tmp_path: Path, images: str) -> None:
    root = coco(tmp_path, images=images)
    assert open_dataset(str(root)).splits() == ["train", "val", "test"]
    assert read_items(f"{root}#train") == [(DOG, DOG.encode())]
    assert read_items(f"{root}#test") == [(CAT, CAT.encode())]
    pool = open_dataset(f"{root}#valid").images()
    assert [row.reason for row in pool.scan()] == ["cannot be read: No such file or directory"]


def test_captions_keep_their_ids_and_texts(tmp_path: Path) -> None:
    root = coco(tmp_path)
    assert read_queries(f"{root}#train") == [(f"{DOG}#0", "一只狗\t趴在长椅上", (DOG,))]
    assert read_queries(f"{root}#val") == [(f"{BUS}#0", "１路公交车", (BUS,))]
    assert read_queries(f"{root}#test") == [
        (f"{CAT}#0", "两只猫，“坐着”", (CAT,)),
        (f"{CAT}#1", "窗台上的猫", (CAT,)),
    ]
    assert open_dataset(f"{root}#test").image_queries() == [
        ImageQuery(1, CAT, (f"{CAT}#0", f"{CAT}#1"))
    ]


def test_another_file_of_captions_can_be_given(tmp_path: Path) -> None:
    archive = coco(tmp_path) / "coco-cn-version1805v1.1"
    assert read_queries(f"{archive / 'imageid.manually-translated-caption.txt'}#test") == [
        (f"{CAT}#zhm#3", "一只猫坐着。", (CAT,)),
        (f"{CAT}#zhm#1", "猫 在窗边", (CAT,)),
    ]
    segmented = f"{archive / 'imageid.human-written-caption.bosonseg.txt'}#test"
    assert read_queries(segmented) == [
        (f"{CAT}#0", "两只猫，坐着。", (CAT,)),
        (f"{CAT}#1", "T恤和WiFi 2020年", (CAT,)),
    ]
    assert read_items(segmented) == [(CAT, CAT.encode())]


def test_the_names_of_the_first_version_are_read(tmp_path: Path) -> None:
    write_file(tmp_path / "imageid.caption.txt", WRITTEN)
    write_file(tmp_path / "images" / f"{CAT}.jpg", "cat")
    assert open_dataset(str(tmp_path)).splits() == ["all"]
    assert read_items(tmp_path)[1] == (CAT, b"cat")
    assert len(read_queries(tmp_path)) == 4


def test_the_extension_has_images_of_its_own(tmp_path: Path) -> None:
    archive = coco(tmp_path) / "coco-cn-version1805v1.1"
    path = write_file(archive / "coco-cn_ext.icap2020.txt", f"{BUS}#0\t一辆公交车\n")
    assert read_queries(path) == [(f"{BUS}#0", "一辆公交车", (BUS,))]


def test_a_line_of_another_form_is_named(tmp_path: Path) -> None:
    archive = coco(tmp_path) / "coco-cn-version1805v1.1"
    write_file(archive / "imageid.human-written-caption.txt", f"{WRITTEN}{CAT}#2\t\n#3 无名\n")
    reason = "expected IMAGE#NUMBER, a tab or blank, and the caption"
    assert read_queries(f"{tmp_path}#train")[:2] == [(5, reason), (6, reason)]


def test_captions_without_images_say_where_to_put_them(tmp_path: Path) -> None:
    write_file(tmp_path / "imageid.human-written-caption.txt", WRITTEN)
    assert len(read_queries(tmp_path)) == 4
    with pytest.raises(MissingPart, match=r"images are missing; put them in .*train2014 and "):
        open_dataset(str(tmp_path)).images()


def test_two_versions_in_a_folder_are_ambiguous(tmp_path: Path) -> None:
    coco(tmp_path)
    write_file(tmp_path / "coco-cn-version1805" / "imageid.caption.txt", WRITTEN)
    with pytest.raises(
        BadDataset, match=r"several versions of COCO-CN; give one: .*1805, .*v1\.1$"
    ):
        open_dataset(str(tmp_path))
    assert len(read_queries(tmp_path / "coco-cn-version1805")) == 4


def test_endings_of_a_list_may_be_capital(tmp_path: Path) -> None:
    write_file(tmp_path / "imageid.human-written-caption.txt", f"{CAT}#0\t猫\n")
    write_file(tmp_path / "coco-cn_test.txt", f"{CAT}.JPG\n")
    assert read_queries(tmp_path) == [(f"{CAT}#0", "猫", (CAT,))]
