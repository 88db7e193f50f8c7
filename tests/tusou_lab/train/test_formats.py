"""Training on datasets laid out as they are distributed: names, folders, encodings and endings."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from drawing import image_bytes
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec

SPLITS = {"train": range(8), "val": range(8, 12)}


def flickr8k_cn(root: Path) -> tuple[str, str | None]:
    """Flickr8k's images beside the folder of Flickr8k-CN, whose names have no ending."""
    images, captions = root / "Flicker8k_Dataset", root / "flickr8k-cn"
    images.mkdir(parents=True)
    captions.mkdir()
    lines = []
    for number in range(12):
        (images / f"10{number}_693b08cb0e.jpg").write_bytes(image_bytes(number))
        key = f"10{number}_693b08cb0e.jpg#zhc"
        lines += [f"{key}#{caption} 第{number}张的第{caption}条说明\n" for caption in range(2)]
    (captions / "flickr8kzhc.caption.txt").write_text("".join(lines), "utf-8")
    for split, numbers in SPLITS.items():
        names = "".join(f"10{number}_693b08cb0e\n" for number in numbers)
        (captions / f"flickr8k{split}.txt").write_text(names)
    return str(root), None


def teddy(root: Path) -> tuple[str, str | None]:
    """Attachment 1 twice, once to train on and once to validate on, in GBK as Excel saves it."""
    for split, numbers in SPLITS.items():
        folder = root / split / "附件1"
        (folder / "ImageData").mkdir(parents=True)
        rows = ["image_id,caption\r\n"]
        for number in numbers:
            name = f"Image14001{number:03d}-1.jpg"
            (folder / "ImageData" / name).write_bytes(image_bytes(number))
            rows.append(f'{name},"第{number}张，红色连衣裙"\r\n')
        (folder / "ImageWordData.csv").write_bytes("".join(rows).encode("gb18030"))
    return f"{root / 'train'}#train", f"{root / 'val'}#train"


def webdataset(root: Path) -> tuple[str, str | None]:
    """Samples with a member that does not name its format, a caption and a class."""
    root.mkdir()
    for split, numbers in SPLITS.items():
        with tarfile.open(root / f"{split}-000000.tar", "w") as tar:
            for number in numbers:
                text = f"第{number}张红色连衣裙".encode()
                members = {"img": image_bytes(number), "txt": text, "cls": b"3"}
                for ending, data in members.items():
                    member = tarfile.TarInfo(f"{number:06d}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    return str(root), None


@pytest.mark.parametrize("write", [flickr8k_cn, teddy, webdataset])
def test_genuine_layouts_are_trained_on(
    write: Callable[[Path], tuple[str, str | None]], tiny_model: Path, tmp_path: Path
) -> None:
    data, valid = write(tmp_path / "data")
    spec = TrainSpec(str(tiny_model), 1, 4, 1e-4, 0.001, 7, "fp32")
    report = train(data, spec, tmp_path / "out.pt", valid=valid, device="cpu")
    captions = 2 if write is flickr8k_cn else 1
    assert report.steps == 8 * captions // 4
    assert (tmp_path / "out.pt").is_file()
