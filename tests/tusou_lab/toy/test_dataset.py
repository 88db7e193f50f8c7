"""The files of toy splits: MUGE's format, the same bytes from the same seed."""

import json
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from tusou_lab.toy.dataset import SplitSize, ToySplitFiles, ToySplitReport, write_toy

from tusou.core.errors import OutputExists

SIZES = (SplitSize("train", 60, 40), SplitSize("valid", 30, 8), SplitSize("test", 30, 8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy")
    write_toy(path, SIZES, seed=5)
    return path


def rows(folder: Path, split: str) -> tuple[list[tuple[int, bytes]], list[dict[str, object]]]:
    files = ToySplitFiles.of(folder, split)
    table = [line.split("\t") for line in files.images.read_text("ascii").splitlines()]
    queries = [json.loads(line) for line in files.queries.read_text("utf-8").splitlines()]
    return [(int(item_id), b64decode(text, validate=True)) for item_id, text in table], queries


def test_files_are_named_as_in_muge(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "MR_test_attributes.jsonl",
        "MR_test_captions.jsonl",
        "MR_test_captions.tr.jsonl",
        "MR_test_imgs.tsv",
        "MR_test_queries.jsonl",
        "MR_train_attributes.jsonl",
        "MR_train_captions.jsonl",
        "MR_train_captions.tr.jsonl",
        "MR_train_imgs.tsv",
        "MR_train_queries.jsonl",
        "MR_valid_attributes.jsonl",
        "MR_valid_captions.jsonl",
        "MR_valid_captions.tr.jsonl",
        "MR_valid_imgs.tsv",
        "MR_valid_queries.jsonl",
    ]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.split)
def test_every_line_has_the_format_of_muge(folder: Path, size: SplitSize) -> None:
    files = ToySplitFiles.of(folder, size.split)
    images, queries = files.images, files.queries
    row = r"\d{8}\t[A-Za-z0-9+/]+={0,2}\n"
    assert re.fullmatch(f"(?:{row}){{{size.items}}}", images.read_text("ascii"))
    query = r'\{"query_id": \d{8}, "query_text": "[^"\\]+", "item_ids": \[\d{8}(, \d{8})*\]\}\n'
    text = queries.read_text("utf-8")
    assert re.fullmatch(f"(?:{query}){{{size.queries}}}", text)
    assert "\\u" not in text


def test_images_are_square_jpeg_and_png(folder: Path) -> None:
    images = [Image.open(BytesIO(data)) for _, data in rows(folder, "train")[0]]
    assert {(image.size, image.mode) for image in images} == {((224, 224), "RGB")}
    assert {image.format for image in images} == {"JPEG", "PNG"}


def test_splits_share_no_id_and_no_query(folder: Path) -> None:
    pools, texts = [], []
    for size in SIZES:
        table, queries = rows(folder, size.split)
        pool = {item_id for item_id, _ in table}
        assert all(set(query["item_ids"]) <= pool for query in queries)  # type: ignore[call-overload]
        pools.append(pool)
        texts.append({query["query_text"] for query in queries})
    assert len(set.union(*pools)) == sum(map(len, pools)) == 120
    assert len(set.union(*texts)) == sum(map(len, texts)) == 56


def test_workers_do_not_change_a_byte(folder: Path, tmp_path: Path) -> None:
    write_toy(tmp_path, SIZES[2:], seed=5, workers=2)
    parallel, serial = (ToySplitFiles.of(path, "test").existing() for path in (tmp_path, folder))
    assert len(parallel) == 5
    for a, b in zip(parallel, serial, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_another_seed_draws_different_images(folder: Path, tmp_path: Path) -> None:
    write_toy(tmp_path, [SplitSize("test", 5, 1)], seed=6)
    images = {data for _, data in rows(folder, "test")[0]}
    assert images.isdisjoint(data for _, data in rows(tmp_path, "test")[0])


def test_existing_files_are_not_replaced_without_force(tmp_path: Path) -> None:
    size = [SplitSize("test", 3, 1)]
    write_toy(tmp_path, size, seed=1)
    before = ToySplitFiles.of(tmp_path, "test").images.read_bytes()
    with pytest.raises(OutputExists, match="--force"):
        write_toy(tmp_path, size, seed=2)
    assert ToySplitFiles.of(tmp_path, "test").images.read_bytes() == before
    assert write_toy(tmp_path, size, seed=2, force=True)[0].items == 3
    assert ToySplitFiles.of(tmp_path, "test").images.read_bytes() != before


def test_reports_the_written_counts(tmp_path: Path) -> None:
    (report,) = write_toy(tmp_path, [SplitSize("valid", 10, 2)], seed=1)
    _, queries = rows(tmp_path, "valid")
    answers = sum(len(query["item_ids"]) for query in queries)  # type: ignore[arg-type,misc]
    assert report == ToySplitReport("valid", 10, 2, answers, 10)
