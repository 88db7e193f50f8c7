"""TaiSu's tars of images and its text of two captions an image."""

import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from reading import read_items, read_queries, write_file

from tusou.core.errors import BadDataset
from tusou.data import ImageQuery, open_dataset

CAPTIONS = (
    "\ufeffimg1baiducomitu3649*****《出版参考》2017年第11期*****一群坐在桌旁的人的照片\r\n"
    "car2292923023*****None*****公共汽车的司机\n"
    "img0baiducomitu3932&*****【临摹插画】part1\t“人面”****星*****None\n"
    "img2baiducomitu1111*****None*****None\n"
    "img9elsewhere*****别的包*****None\n"
    "没有分隔符\n"
)


def write_tar(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(f"baidu_images/{name}")
            member.size = len(name)
            tar.addfile(member, BytesIO(name.encode()))
    return path


def taisu(root: Path) -> Path:
    write_file(root / "captions.txt", CAPTIONS)
    write_file(root / "README.txt", "说明*****\n")
    write_tar(root / "baidu_images0.tar", "img1baiducomitu3649.jpg", "car2292923023.gif")
    write_tar(root / "baidu_images1.tar", "img0baiducomitu3932&.jpg", "img2baiducomitu1111.jpg")
    return root


def test_captions_of_the_images_in_the_tars(tmp_path: Path) -> None:
    root = taisu(tmp_path)
    assert read_items(root) == [
        ("img1baiducomitu3649", b"img1baiducomitu3649.jpg"),
        ("car2292923023", b"car2292923023.gif"),
        ("img0baiducomitu3932&", b"img0baiducomitu3932&.jpg"),
        ("img2baiducomitu1111", b"img2baiducomitu1111.jpg"),
    ]
    assert read_queries(root) == [
        (6, "expected ID*****CAPTION*****CAPTION"),
        ("img1baiducomitu3649#web", "《出版参考》2017年第11期", ("img1baiducomitu3649",)),
        ("img1baiducomitu3649#generated", "一群坐在桌旁的人的照片", ("img1baiducomitu3649",)),
        ("car2292923023#generated", "公共汽车的司机", ("car2292923023",)),
        (
            "img0baiducomitu3932&#web",
            "【临摹插画】part1\t“人面”****星",
            ("img0baiducomitu3932&",),
        ),
    ]
    dataset = open_dataset(str(root))
    assert dataset.reader.describe() == ("captions.txt: 4 captions of 3 of the 4 images in 2 tars")


def test_images_search_texts(tmp_path: Path) -> None:
    root = taisu(tmp_path)
    write_file(root / "captions.txt", CAPTIONS.removesuffix("没有分隔符\n"))
    assert open_dataset(str(root)).image_queries()[0] == ImageQuery(
        1,
        "img1baiducomitu3649",
        ("img1baiducomitu3649#web", "img1baiducomitu3649#generated"),
    )


def test_packed_tars_are_to_be_unpacked(tmp_path: Path) -> None:
    root = taisu(tmp_path)
    write_file(root / "baidu_images2.tgz", "")
    with pytest.raises(BadDataset, match=r"read in place: pigz -d baidu_images2\.tgz"):
        open_dataset(str(root))


def test_a_tar_alone_has_its_captions(tmp_path: Path) -> None:
    tar = taisu(tmp_path) / "baidu_images1.tar"
    assert [item[0] for item in read_items(tar)] == ["img0baiducomitu3932&", "img2baiducomitu1111"]
    assert [query[0] for query in read_queries(tar)] == [6, "img0baiducomitu3932&#web"]


def test_several_texts_of_captions_are_ambiguous(tmp_path: Path) -> None:
    root = taisu(tmp_path)
    other = write_file(root / "more.txt", "img2baiducomitu1111*****猫*****None\n")
    with pytest.raises(BadDataset, match=r"several texts of captions; give one: .*more\.txt"):
        open_dataset(str(root))
    assert read_queries(other) == [("img2baiducomitu1111#web", "猫", ("img2baiducomitu1111",))]


def test_captions_of_other_images_alone_are_refused(tmp_path: Path) -> None:
    write_file(tmp_path / "captions.txt", "a1.jpg*****猫*****None\n")
    write_tar(tmp_path / "baidu_images0.tar", "a1.jpg")
    with pytest.raises(BadDataset, match=r"its ids are such as a1\.jpg, .* such as a1$"):
        read_queries(tmp_path)
