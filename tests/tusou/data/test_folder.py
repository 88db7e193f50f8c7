"""A folder of images is a pool: every image is an item or a failure; other files are counted."""

import os
from pathlib import Path

import pytest

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.data import ItemRow, open_pool
from tusou.data.formats.folder import open_image_folder
from tusou.data.listed_images import ListedImages
from tusou.images.formats import MAX_IMAGE_BYTES


def fill(folder: Path, **files: bytes) -> Path:
    for name, data in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


CASES = Path(__file__).parents[2] / "cases"


def test_images_are_sorted_by_path_and_other_files_are_counted(tmp_path: Path) -> None:
    fill(tmp_path, b_jpg=b"22", a__x_PNG=b"1", a_jpg=b"333", readme_txt=b"no", c_csv=b"no")
    fill(tmp_path / ".hidden", d_jpg=b"no")
    (tmp_path / ".e.jpg").write_bytes(b"no")
    pool = open_image_folder(tmp_path)
    assert list(pool.scan()) == [
        ItemRow(1, "a", 0, 0, 3),
        ItemRow(2, "a/x", 1, 0, 1),
        ItemRow(3, "b", 2, 0, 2),
    ]
    assert pool.files == [tmp_path / "a.jpg", tmp_path / "a" / "x.PNG", tmp_path / "b.jpg"]
    assert pool.size == 6
    assert sorted(pool.skipped.sentences()) == [
        "1 files ending in .csv, such as c.csv",
        "1 files ending in .txt, such as readme.txt",
        "1 hidden files, such as .e.jpg",
    ]


def test_every_image_format_is_an_item(tmp_path: Path) -> None:
    fill(tmp_path, a_jp2=b"1", b_jxl=b"2", c_heif=b"3", d_gif=b"4", e_apng=b"5")
    pool = open_image_folder(tmp_path)
    assert [row.item_id for row in pool.scan()] == ["a", "b", "c", "d", "e"]
    assert not pool.skipped.sentences()


def test_ids_keep_the_ending_where_the_names_meet(tmp_path: Path) -> None:
    pool = open_image_folder(CASES / "folder-two-endings-one-name")
    assert [row.item_id for row in pool.scan()] == ["a.jpg", "a.png"]
    fill(tmp_path, a_jpg=b"1", a_png=b"2", a_jpg_png=b"3", b_png=b"4", c__a_gif=b"5")
    ids = [row.item_id for row in open_image_folder(tmp_path).scan()]
    assert ids == ["a.jpg", "a.jpg.png", "a.png", "b", "c/a"]


def test_unusable_images_are_listed_with_their_files(tmp_path: Path) -> None:
    fill(tmp_path, a_jpg=b"")
    with (tmp_path / "b.jpg").open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    (tmp_path / "c.jpg").symlink_to("nowhere")
    (tmp_path / os.fsdecode(b"d\xff.jpg")).write_bytes(b"1")
    (tmp_path / "e .jpg").write_bytes(b"1")
    assert list(open_image_folder(tmp_path).scan()) == [
        Failure(1, "a", "empty image", "a.jpg"),
        Failure(2, "b", "image over 32 MiB", "b.jpg"),
        Failure(3, "c", "cannot be read: No such file or directory", "c.jpg"),
        Failure(4, None, "id is not UTF-8", "d?.jpg"),
        Failure(5, None, "id with blanks around it or control characters", "e .jpg"),
    ]


def digest(folder: Path) -> str:
    pool = open_image_folder(folder)
    assert len(list(pool.scan())) == 2
    return pool.sha256


def test_the_digest_depends_on_names_bytes_and_their_boundaries(tmp_path: Path) -> None:
    folders = [
        fill(tmp_path / "1", a_jpg=b"xy", b_jpg=b"z"),
        fill(tmp_path / "2", a_jpg=b"x", b_jpg=b"yz"),
        fill(tmp_path / "3", a_jpg=b"xy", c_jpg=b"z"),
        fill(tmp_path / "4", a_jpg=b"xy", b_jpg=b"w"),
    ]
    assert len({digest(folder) for folder in folders}) == 4
    assert digest(folders[0]) == digest(fill(tmp_path / "5", a_jpg=b"xy", b_jpg=b"z"))


def test_the_format_is_detected_from_the_files(tmp_path: Path) -> None:
    images = fill(tmp_path / "with#mark", a_jpg=b"1")
    assert isinstance(open_pool(str(images)), ListedImages)
    tsv = fill(tmp_path, pool_tsv=b"1\tAAAA\n") / "pool.tsv"
    pool = open_pool(str(tsv))
    assert list(pool.scan()) == [ItemRow(1, "1", 0, 2, 4)]
    assert (pool.kind, pool.encoding, list(pool.files)) == ("images", "base64", [tsv])


@pytest.mark.parametrize("name", ["empty", "empty#test", "with/a.jpg#test", "gone", "gone#test"])
def test_a_path_of_unknown_format_lists_the_known_formats(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "with", a_jpg=b"1")
    message = "no known format; looked for .*; a folder of images$"
    if "gone" in name:
        message = "does not exist"
    elif "jpg" in name:
        message = "has no split 'test'"
    with pytest.raises(BadDataset, match=message):
        open_pool(str(tmp_path / name))


def test_a_fifo_is_refused_as_a_pool_and_listed_in_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pool.tsv")
    with pytest.raises(BadDataset, match="is a FIFO"):
        open_pool(str(tmp_path / "pool.tsv"))
    folder = tmp_path / "images"
    folder.mkdir()
    os.mkfifo(folder / "a.jpg")
    (folder / "b.jpg").write_bytes(b"an image")
    failure, row = open_pool(str(folder)).scan()
    assert isinstance(failure, Failure)
    assert (failure.file, failure.reason) == ("a.jpg", "cannot be read: not a regular file")
    assert isinstance(row, ItemRow)
