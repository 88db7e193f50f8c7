"""`tusou split` divides every format; images, queries and near duplicates are where they belong."""

import csv
import io
import json
import tarfile
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
import typer
from drawing import image_bytes
from PIL import Image
from reading import write_file
from tusou_lab.check.run import check
from tusou_lab.convert.run import WRITERS
from tusou_lab.split import cli
from tusou_lab.split.assignment import assign_splits, merge_groups
from tusou_lab.split.run import SplitReport, split
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from typer.testing import CliRunner

from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, OutputExists
from tusou.data import ItemRow, open_dataset

COUNT = 40
SHARES = {"valid": 0.2, "test": 0.1}
COLOURS = ("黑", "白", "棕", "花")


def image(number: int) -> bytes:
    """Return an image; every fifth is a GIF, whatever its file is called."""
    return image_bytes(number, form="GIF" if number % 5 == 0 else "JPEG")


def flickr8k(root: Path) -> Path:
    """Write Flickr8k's images and its token file with five captions each, without split lists."""
    lines = []
    for n in range(COUNT):
        write_file(root / "Flicker8k_Dataset" / f"{1000 + n}_ab.jpg", image(n))
        lines += [f"{1000 + n}_ab.jpg#{k}\t一只{COLOURS[k % 4]}狗 {n}-{k} .\n" for k in range(5)]
    write_file(root / "Flickr8k.token.txt", "".join(lines))
    return root


def teddy(root: Path) -> Path:
    """Write the first attachment of Teddy Cup, whose GIFs are called .jpg."""
    table = StringIO()
    rows = csv.writer(table)
    rows.writerow(["image_id", "caption"])
    for n in range(COUNT):
        write_file(root / "ImageData" / f"Image{n:08d}-0001.jpg", image(n))
        rows.writerow([f"Image{n:08d}-0001.jpg", f"第{n}张，\n下载"])
    write_file(root / "ImageWordData.csv", table.getvalue().encode("gbk"))
    return root


def folder(root: Path) -> Path:
    for n in range(COUNT):
        write_file(root / f"鞋{n % 2}" / f"{n}.jpg", image(n))
    write_file(root / "notes.txt", "no image")
    return root


def webdataset(root: Path) -> Path:
    root.mkdir()
    with tarfile.open(root / "000000.tar", "w") as tar:
        for n in range(COUNT):
            for ending, data in (("jpg", image(n)), ("txt", f"第{n}条裙子".encode())):
                member = tarfile.TarInfo(f"{n:05d}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return root


def muge(root: Path, **images: bytes) -> Path:
    """Write MUGE's files without a split in their name: 40 images and others by their ids."""
    files = {str(n): image(n) for n in range(COUNT)} | images
    rows = [
        {"query_id": n, "query_text": f"裙 {n}", "item_ids": [n, (n + 1) % COUNT]}
        for n in range(COUNT)
    ]
    rows.append({"query_id": 900, "query_text": "没有", "item_ids": []})
    rows.append({"query_id": 901, "query_text": "不在", "item_ids": [77777]})
    lines = "".join(f"{key}\t{b64encode(data).decode()}\n" for key, data in files.items())
    write_file(root / "MR_all_imgs.tsv", lines)
    write_file(root / "MR_all_queries.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return root


def divide(source: object, out: Path, seed: int = 1, **options: object) -> SplitReport:
    return split(str(source), out, SHARES, seed, NoProgress(), workers=1, **options)  # type: ignore[arg-type]


def read_images(source: Path, name: str) -> dict[str, bytes]:
    pool = open_dataset(str(source)).images(name)
    with ItemReader(pool.files) as reader:
        return {
            row.item_id: decode_stored_image(
                reader.read(row.file, row.offset, row.length), pool.encoding
            )
            for row in pool.scan()
            if isinstance(row, ItemRow)
        }


@pytest.mark.parametrize("write", [flickr8k, teddy, folder, webdataset, muge])
def test_every_format_is_divided_and_keeps_its_images(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    source = write(tmp_path / "source")
    report = divide(source, tmp_path / "out")
    sizes = {part.split: part.items for part in report.splits}
    assert sizes == {"train": 28, "valid": 8, "test": 4}
    assert (report.failed, report.near_duplicates) == (0, 0)
    whole = read_images(source, open_dataset(str(source)).split())
    parts = [read_images(tmp_path / "out", name) for name in sizes]
    assert {key: data for part in parts for key, data in part.items()} == whole
    assert sum(map(len, parts)) == COUNT


@pytest.mark.parametrize("write", [flickr8k, teddy, webdataset])
def test_captions_follow_their_images(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    source = write(tmp_path / "source")
    report = divide(source, tmp_path / "out")
    assert (report.divided_queries, report.queries_left_out) == (0, 0)
    texts = {query.text: query.item_ids for query in open_dataset(str(source)).queries()}
    divided: dict[str, object] = {}
    for part in report.splits:
        ids = set(read_images(tmp_path / "out", part.split))
        for query in open_dataset(str(tmp_path / "out")).queries(part.split):
            assert set(map(str, query.item_ids or ())) <= ids
            divided[query.text] = tuple(map(str, query.item_ids or ()))
    assert divided == {text: tuple(map(str, ids or ())) for text, ids in texts.items()}


def test_a_query_is_in_each_split_with_its_images_there(tmp_path: Path) -> None:
    report = divide(muge(tmp_path / "source"), tmp_path / "out")
    images = {part.split: set(read_images(tmp_path / "out", part.split)) for part in report.splits}
    seen: dict[object, list[str]] = {}
    for name, ids in images.items():
        for query in open_dataset(str(tmp_path / "out")).queries(name):
            expected = {str(query.query_id), str((int(query.query_id) + 1) % COUNT)} & ids
            assert set(map(str, query.item_ids or ())) == expected
            seen.setdefault(query.query_id, []).append(name)
    assert set(seen) == set(range(COUNT))
    assert report.divided_queries == sum(len(names) > 1 for names in seen.values()) > 0
    assert report.queries_left_out == 2  # one without correct images, one whose image is missing


def test_near_duplicates_are_on_one_side(tmp_path: Path) -> None:
    copies = {}
    for n in range(COUNT):
        soft = np.random.default_rng(n).integers(0, 256, (7, 7, 3), np.uint8)
        original = Image.fromarray(soft).resize((96, 96), Image.Resampling.BICUBIC)
        whole, small = BytesIO(), BytesIO()
        original.save(whole, "JPEG", quality=95)
        original.resize((70, 70)).save(small, "JPEG", quality=80)
        copies |= {str(n): whole.getvalue(), str(1000 + n): small.getvalue()}
        copies[str(2000 + n)] = whole.getvalue()  # the same bytes
    report = divide(muge(tmp_path / "source", **copies), tmp_path / "out")
    assert report.near_duplicates == 3 * COUNT
    for part in report.splits:
        ids = sorted(map(int, read_images(tmp_path / "out", part.split)))
        assert len(ids) % 3 == 0
        assert len({number % 1000 for number in ids}) == len(ids) // 3
    found = {finding.code for finding in check(str(tmp_path / "out"), NoProgress()).findings}
    assert not found & {"shared_images", "shared_looks", "dangling_ids"}


def test_the_seed_alone_decides(tmp_path: Path) -> None:
    source = muge(tmp_path / "source")
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        divide(source, tmp_path / out, seed)
    names = [file.name for file in sorted((tmp_path / "a").iterdir())]
    assert len(names) == 7
    contents = [[(tmp_path / out / name).read_bytes() for name in names] for out in "abc"]
    assert contents[0] == contents[1] != contents[2]
    ids = [f"item {n}" for n in range(50)]
    forward = dict(zip(ids, assign_splits(ids, [], SHARES, 3), strict=True))
    assert dict(zip(ids[::-1], assign_splits(ids[::-1], [], SHARES, 3), strict=True)) == forward


def test_groups_that_overlap_are_merged() -> None:
    assert merge_groups(6, [[4, 5], [0, 2], [2, 4]]) == [[0, 2, 4, 5], [1], [3]]


def test_a_large_group_goes_to_train() -> None:
    splits = assign_splits([str(n) for n in range(20)], [list(range(10))], SHARES, 0)
    assert splits[:10] == ["train"] * 10
    assert (splits.count("valid"), splits.count("test")) == (4, 2)


def test_numbers_of_images_are_kept_exactly() -> None:
    sizes = {"valid": 10, "test": 10, "train": 60}
    splits = assign_splits([str(n) for n in range(81)], [[0, 1], [2, 3, 4]], sizes, 0)
    assert {name: splits.count(name) for name in sizes} == sizes
    assert splits.count(None) == 1
    with pytest.raises(BadDataset, match=r"too few: valid and train would be empty"):
        assign_splits([str(n) for n in range(8)], [], sizes, 0)


def test_what_train_does_not_take_is_left_out_with_its_queries(tmp_path: Path) -> None:
    source, sizes = flickr8k(tmp_path / "source"), {"valid": 5, "test": 5, "train": 28}
    report = split(str(source), tmp_path / "out", sizes, 1, NoProgress(), workers=1)
    counts = {part.split: (part.items, part.queries) for part in report.splits}
    assert counts == {"train": (28, 140), "valid": (5, 25), "test": (5, 25)}
    assert (report.images_left_out, report.queries_left_out) == (2, 10)


def test_images_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    source = muge(tmp_path / "source", **{"500": b"no image"})
    report = divide(source, tmp_path / "out")
    assert report.failed == 1
    assert report.failures[0]["item_id"] == "500"
    assert report.notes == ()
    assert divide(folder(tmp_path / "folder"), tmp_path / "other").notes == (
        "skipped 1 files ending in .txt, such as notes.txt",
    )


def test_what_cannot_be_divided_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    for n in range(3):
        write_file(tmp_path / "few" / f"{n}.jpg", image(n + 1))
    with pytest.raises(BadDataset, match=r"3 images .* are too few: test would be empty"):
        divide(tmp_path / "few", tmp_path / "out")
    divide(muge(tmp_path / "source"), tmp_path / "whole")
    with pytest.raises(BadDataset, match=r"several splits; give .*#train"):
        divide(tmp_path / "whole", tmp_path / "out")
    write_file(tmp_path / "source" / "MR_all_queries.jsonl", '{"query_id": 1, "query_text": "x"}\n')
    with pytest.raises(BadDataset, match="no query has a correct image among the 40 images"):
        divide(tmp_path / "source", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few", "source", "whole"]


def test_only_a_folder_of_its_own_is_replaced(tmp_path: Path) -> None:
    source = muge(tmp_path / "source")
    divide(source, tmp_path / "out")
    with pytest.raises(OutputExists, match="give --force"):
        divide(source, tmp_path / "out")
    divide(source, tmp_path / "out", force=True)
    with pytest.raises(OutputExists, match="was not made by split"):
        divide(source, source, force=True)


@pytest.mark.parametrize("to", ["cnclip", "flickr8k", "webdataset"])
def test_other_formats_have_the_same_splits(tmp_path: Path, to: str) -> None:
    assert to in WRITERS
    source = flickr8k(tmp_path / "source")
    divide(source, tmp_path / "muge")
    divide(source, tmp_path / "out", to=to)
    dataset = open_dataset(str(tmp_path / "out"))
    assert len(dataset.splits()) == 3
    sizes = [len(read_images(tmp_path / "out", dataset.split(name))) for name in SHARES]
    assert sizes == [len(read_images(tmp_path / "muge", name)) for name in SHARES]


def test_training_works_after_a_division(tmp_path: Path, tiny_model: Path) -> None:
    divide(teddy(tmp_path / "source"), tmp_path / "out")
    spec = TrainSpec(str(tiny_model), 1, 8, 1e-4, 0.001, 0, "fp32")
    report = train(str(tmp_path / "out"), spec, tmp_path / "model.pt", device="cpu")
    assert report.steps > 0


def test_the_command_prints_each_split(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(cli.split)
    source, out = muge(tmp_path / "source"), tmp_path / "out"
    done = CliRunner().invoke(app, [str(source), "--out", str(out), "--workers", "1"])
    assert done.exit_code == 0, done.output
    heads = [line.split(",")[0] for line in done.stdout.splitlines()]
    assert heads == ["train: 28 images", "valid: 8 images", "test: 4 images"]
    assert "queries have correct images in several splits" in done.stderr
    words = [str(source), "--out", str(out), "--workers", "1", "--force", "--json"]
    report = json.loads(CliRunner().invoke(app, words).stdout)
    assert [part["items"] for part in report["splits"]] == [28, 8, 4]
    assert json.loads((out / "split.json").read_text("utf-8")) == report
    wrong = [str(source), "--out", str(out), "--valid", "0.6", "--test", "0.4"]
    assert CliRunner().invoke(app, wrong).exit_code == 2
    assert CliRunner().invoke(app, [*wrong[:3], "--valid", "1.5"]).exit_code == 2
    words = [str(source), "--out", str(out), "--workers", "1", "--force", "--train", "20"]
    done = CliRunner().invoke(app, [*words, "--valid", "8", "--test", "4"])
    assert done.stdout.splitlines()[0].startswith("train: 20 images")
    assert "8 images are in no split" in done.stderr
