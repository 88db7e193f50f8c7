"""Tars are read in place: images by byte offset, captions by key; damage is a failure."""

import io
import tarfile
from pathlib import Path

import pytest
from reading import read_items, read_queries

from tusou.core.errors import BadDataset
from tusou.data import ItemRow, open_dataset


def tar(path: Path, **members: bytes | str) -> Path:
    """Write members in order; the last underscore pair of a name is its dot."""
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def test_images_and_captions_of_both_kinds(tmp_path: Path) -> None:
    tar(tmp_path / "train-0000.tar", **{"a/k1__JPG": b"one", "a/k1__txt": "红裙\n"})
    rows = {
        "k2__png": b"two",
        "k2__json": '{"captions": ["鞋", "靴"], "url": "x"}',
        "k3__jpg": b"3",
    }
    tar(tmp_path / "train-0001.tar", **rows)
    tar(tmp_path / "test-0.tar", k4__webp=b"4", k4__json='{"caption": "包"}')
    assert open_dataset(str(tmp_path)).splits() == ["train", "test"]
    assert read_items(f"{tmp_path}#train") == [("a/k1", b"one"), ("k2", b"two"), ("k3", b"3")]
    assert read_queries(f"{tmp_path}#train") == [
        ("a/k1#0", "红裙", ("a/k1",)),
        ("k2#0", "鞋", ("k2",)),
        ("k2#1", "靴", ("k2",)),
    ]
    assert read_queries(f"{tmp_path}#test") == [("k4#0", "包", ("k4",))]


def test_one_tar_is_a_dataset_and_numbers_are_ids(tmp_path: Path) -> None:
    path = tar(tmp_path / "000.tar", **{"17__jpg": b"x", "17__txt": "裙", "18__jpg": b"y"})
    assert read_items(path) == [("17", b"x"), ("18", b"y")]
    assert read_queries(path) == [("17#0", "裙", (17,))]


def test_ids_written_by_convert_are_read(tmp_path: Path) -> None:
    described = '{"item_id": "a.jpg", "captions": ["裙"], "caption_ids": [5]}'
    path = tar(tmp_path / "x.tar", a__jpg=b"1", a__json=described)
    assert [item[0] for item in read_items(path)] == ["a.jpg"]
    assert read_queries(path) == [(5, "裙", ("a.jpg",))]


def test_unusable_samples_are_failures(tmp_path: Path) -> None:
    members = {"._k__jpg": b"mac", "k__jpg": b"", "b__jpg": b"1", "b__txt": b"\xff", "c__cls": b"7"}
    members |= {"d__jpg": b"2", "d__json": b"{", "e__jpg": b"3", "e__txt": b"x" * (2**20 + 1)}
    path = tar(tmp_path / "x.tar", **members)
    assert read_items(path) == [(1, "empty image"), ("b", b"1"), ("d", b"2"), ("e", b"3")]
    assert read_queries(path) == [
        (2, "caption is not UTF-8"),
        (4, "caption is not a JSON object"),
        (5, "caption longer than 1048576 bytes"),
    ]


def test_a_truncated_tar_gives_its_complete_samples(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", a__jpg=b"1" * 600, b__jpg=b"2" * 600)
    path.write_bytes(path.read_bytes()[:1800])
    assert read_items(path)[0] == ("a", b"1" * 600)
    assert read_items(path)[1:] == [(1, "broken tar: it ends in the middle of a block")]


def test_a_compressed_tar_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"\x1f\x8b compressed")
    with pytest.raises(BadDataset, match=r"not an uncompressed tar .* unpack it"):
        read_items(tmp_path)


def test_every_image_of_a_sample_counts(tmp_path: Path) -> None:
    case = Path(__file__).parents[2] / "cases" / "webdataset-members-passed-over-silently.tar"
    pool = open_dataset(str(case)).images()
    ids = [row.item_id for row in pool.scan() if isinstance(row, ItemRow)]
    assert (ids, len(pool.skipped)) == (["00000", "00001", "00002", "00003"], 0)
    assert len(read_queries(case)) == 4

    path = tar(tmp_path / "x.tar", a__jpg=b"1", a__png=b"2", a__txt="裙", b__heif=b"3", b__jxl=b"")
    assert read_items(path) == [
        ("a.jpg", b"1"),
        ("a.png", b"2"),
        ("b.heif", b"3"),
        (2, "empty image"),
    ]
    assert read_queries(path) == [("a#0", "裙", ("a.jpg", "a.png"))]


def test_other_members_are_counted(tmp_path: Path) -> None:
    members = {"a__jpg": b"1", "a__mask.png": b"2", "a__cls": b"0", "b__mp4": b"3", "b__txt": "鞋"}
    path = tar(tmp_path / "x.tar", **members, **{".DS_Store": b"4", "c": b"5"})
    pool = open_dataset(str(path)).images()
    assert [row.item_id for row in pool.scan() if isinstance(row, ItemRow)] == ["a"]
    assert sorted(pool.skipped.sentences()) == [
        "1 captions without an image, such as b.txt",
        "1 further images, ending in .mask.png, such as a.mask.png",
        "1 hidden members, such as .DS_Store",
        "1 members ending in .cls, such as a.cls",
        "1 members ending in .mp4, such as b.mp4",
        "1 members without an ending, such as c",
    ]
