"""Converted datasets keep ids, image bytes, vectors and correct items."""

import csv
import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawing import image_bytes
from reading import write_file
from tusou_lab.convert.run import WRITERS, ConversionReport, convert

from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, OutputExists
from tusou.data import ItemRow, open_dataset, open_pool
from tusou.encoders import find_weights, load_image_encoder
from tusou.images.preprocess import open_image, to_pixels

COUNT = 50


def form(number: int) -> str:
    return ("JPEG", "PNG", "WEBP")[number % 3]


def muge(root: Path, name: Callable[[int], object] = lambda n: 1000 + n) -> Path:
    """Write 50 images of three kinds and queries of one and of two correct images."""
    lines = [
        f"{name(n)}\t{b64encode(image_bytes(n, form=form(n))).decode()}\n" for n in range(COUNT)
    ]
    rows = [
        {"query_id": 70 + n, "query_text": f'第{n}个，"红"\n裙', "item_ids": [name(n)]}
        for n in range(COUNT)
    ]
    rows.append({"query_id": 7, "query_text": "两个", "item_ids": [name(3), name(5)]})
    write_file(root / "MR_valid_imgs.tsv", "".join(lines))
    write_file(root / "MR_valid_queries.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return root


def read_images(source: object) -> dict[str, bytes]:
    pool = open_pool(str(source))
    images = {}
    with ItemReader(pool.files) as files:
        for row in pool.scan():
            assert isinstance(row, ItemRow), row
            stored = files.read(row.file, row.offset, row.length)
            images[row.item_id] = decode_stored_image(stored, pool.encoding)
    return images


def read_texts(source: object) -> dict[object, tuple[str, set[object]]]:
    return {
        query.query_id: (query.text, set(query.item_ids or ()))
        for query in open_dataset(str(source)).queries()
    }


def convert_to(source: object, out: Path, to: str) -> ConversionReport:
    return convert(str(source), out, to, NoProgress())


@pytest.mark.parametrize("to", ["muge", "cnclip", "flickr8k", "webdataset"])
def test_ids_bytes_and_correct_items_survive_both_ways(tmp_path: Path, to: str) -> None:
    source = muge(tmp_path / "source")
    report = convert_to(source, tmp_path / "out", to)
    assert (report.splits[0].items, report.notes, report.failures) == (COUNT, (), ())
    assert read_images(tmp_path / "out") == read_images(source)
    assert read_texts(tmp_path / "out") == read_texts(source)
    convert_to(tmp_path / "out", tmp_path / "back", "muge")
    assert read_images(tmp_path / "back") == read_images(source)
    assert read_texts(tmp_path / "back") == read_texts(source)


def test_a_folder_keeps_ids_and_bytes(tmp_path: Path) -> None:
    source = muge(tmp_path / "source")
    report = convert_to(source, tmp_path / "out", "folder")
    assert read_images(tmp_path / "out") == read_images(source)
    assert report.notes == ("51 queries of valid were left out: a folder holds images only",)


def test_teddy_cup_has_file_names_as_ids(tmp_path: Path) -> None:
    source = muge(tmp_path / "source")
    convert_to(source, tmp_path / "out", "teddy")
    kinds = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
    names = {str(1000 + n): f"{1000 + n}{kinds[form(n)]}" for n in range(COUNT)}
    expected = read_images(source)
    assert read_images(tmp_path / "out") == {names[item]: data for item, data in expected.items()}
    assert read_texts(tmp_path / "out") == {
        str(query_id): (text, {names[str(item)] for item in items})
        for query_id, (text, items) in read_texts(source).items()
    }
    with (tmp_path / "out" / "ImageWordData.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["image_id", "caption", "text_id"]


def test_vectors_are_equal_in_every_format(tmp_path: Path, tiny_model: Path) -> None:
    source = muge(tmp_path / "source")
    encoder = load_image_encoder(find_weights(str(tiny_model)))

    def encode(source: object) -> np.ndarray:
        ordered = sorted(read_images(source).items(), key=lambda image: image[0])
        pixels = [to_pixels(open_image(data), encoder.transform) for _, data in ordered]
        return encoder.encode(np.stack(pixels))

    expected = encode(source)
    for to in WRITERS:
        convert_to(source, tmp_path / to, to)
        np.testing.assert_array_equal(encode(tmp_path / to), expected)


def test_ids_that_are_not_file_names_survive(tmp_path: Path) -> None:
    odd = ["a/b", "..", ".x", "红 裙", "100%", "c:d", "e\\f", "g.jpg", "007", "h#1"]
    source = muge(tmp_path / "source", lambda n: odd[n] if n < len(odd) else f"n{n}")
    for to in ("flickr8k", "webdataset"):
        convert_to(source, tmp_path / to, to)
        assert read_images(tmp_path / to) == read_images(source)
        assert read_texts(tmp_path / to) == read_texts(source)


def test_cn_clip_gets_numbers_and_a_table_of_the_ids(tmp_path: Path) -> None:
    source = muge(tmp_path / "source", lambda n: f"n{n}")
    convert_to(source, tmp_path / "out", "cnclip")
    rows = (tmp_path / "out" / "valid_image_ids.tsv").read_text().splitlines()
    ids = dict(row.split("\t") for row in rows)
    expected = read_images(source)
    assert {ids[number]: data for number, data in read_images(tmp_path / "out").items()} == expected
    assert read_texts(tmp_path / "out")[7] == ("两个", {3, 5})


def test_splits_and_unanswered_queries(tmp_path: Path) -> None:
    source = muge(tmp_path / "source")
    write_file(source / "MR_test_imgs.tsv", f"5\t{b64encode(image_bytes(5)).decode()}\n")
    write_file(source / "MR_test_queries.jsonl", '{"query_id": 9, "query_text": "包"}\n')
    convert_to(source, tmp_path / "cn", "cnclip")
    assert open_dataset(str(tmp_path / "cn")).splits() == ["valid", "test"]
    row = json.loads((tmp_path / "cn" / "test_texts.jsonl").read_text())
    assert row == {"text_id": 9, "text": "包", "image_ids": []}
    report = convert_to(source, tmp_path / "f", "flickr8k")
    assert open_dataset(str(tmp_path / "f")).splits() == ["dev", "test"]
    assert report.notes == (
        "1 queries of test were left out: the format holds texts by their images",
    )
    convert_to(source, tmp_path / "t", "teddy")
    assert open_dataset(str(tmp_path / "t")).splits() == ["train", "t2i"]
    assert read_texts(f"{tmp_path / 't'}#t2i") == {"9": ("包", set())}


def test_unreadable_images_are_listed_and_left_out(tmp_path: Path) -> None:
    good = b64encode(image_bytes(1)).decode()
    write_file(tmp_path / "p.tsv", f"1\t{good}\n2\t!!\n1\t{good}\n\n4\t{good}\n\n")
    report = convert_to(tmp_path / "p.tsv", tmp_path / "out", "folder")
    assert [(failure["line"], failure["reason"]) for failure in report.failures] == [
        (2, "bad base64"),
        (3, "duplicate id"),
        (4, "blank line"),
    ]
    assert list(read_images(tmp_path / "out")) == ["1", "4"]


@pytest.mark.parametrize("line", ["1\thttps://a.cn/1.jpg", " 1 \tAAAA", "1"])
@pytest.mark.parametrize("to", ["folder", "muge"])
def test_images_of_which_none_can_be_used_are_an_error(tmp_path: Path, line: str, to: str) -> None:
    write_file(tmp_path / "p.tsv", f"{line}\n" * 2)
    with pytest.raises(BadDataset, match=r"none of 2 images can be used \(line 1: "):
        convert_to(tmp_path / "p.tsv", tmp_path / "out", to)
    assert not (tmp_path / "out").exists()


def test_the_output_is_complete_or_absent_and_only_our_own_is_replaced(tmp_path: Path) -> None:
    source = muge(tmp_path / "source")
    write_file(source / "MR_test_imgs.tsv", f"1000\t{b64encode(image_bytes(5)).decode()}\n")
    with pytest.raises(BadDataset, match=r"both be called 1000\.jpg: Flickr8k has one folder"):
        convert_to(source, tmp_path / "out", "flickr8k")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
    with pytest.raises(OutputExists, match="was not made by convert"):
        convert(str(source), source, "folder", NoProgress(), force=True)
    convert_to(source, tmp_path / "out", "folder")
    with pytest.raises(OutputExists, match="give --force"):
        convert_to(source, tmp_path / "out", "folder")
    convert(f"{source}#valid", tmp_path / "out", "folder", NoProgress(), force=True)
    assert open_dataset(str(tmp_path / "out")).splits() == ["valid"]


@pytest.mark.parametrize("to", sorted(set(WRITERS) - {"folder"}))
def test_ids_of_one_kind_have_one_type(tmp_path: Path, to: str) -> None:
    lines = [f"{name}\t{b64encode(image_bytes(1)).decode()}\n" for name in ("007", "8", "a.jpg")]
    rows = [
        {"query_id": 1, "query_text": "裙", "item_ids": [8, "a.jpg"]},
        {"query_id": "b", "query_text": "鞋", "item_ids": ["007", "gone.jpg"]},
    ]
    write_file(tmp_path / "in" / "MR_train_imgs.tsv", "".join(lines))
    queries = "".join(json.dumps(row) + "\n" for row in rows)
    write_file(tmp_path / "in" / "MR_train_queries.jsonl", queries)
    convert_to(tmp_path / "in", tmp_path / "out", to)
    written = open_dataset(str(tmp_path / "out")).queries()
    assert len({type(query.query_id) for query in written}) == 1
    correct = {item_id for query in written for item_id in query.item_ids or ()}
    assert {type(item_id) for item_id in correct} == ({int} if to == "cnclip" else {str})
    usable = {item_id for item_id in map(str, correct) if item_id in read_images(tmp_path / "out")}
    assert len(usable) == 3


def test_an_integer_pool_has_integer_answers(tmp_path: Path) -> None:
    write_file(tmp_path / "in" / "MR_test_imgs.tsv", f"8\t{b64encode(image_bytes(1)).decode()}\n")
    row = {"query_id": "3", "query_text": "裙", "item_ids": ["8", "a.jpg"]}
    write_file(tmp_path / "in" / "MR_test_queries.jsonl", json.dumps(row) + "\n")
    report = convert_to(tmp_path / "in", tmp_path / "out", "muge")
    assert read_texts(tmp_path / "out") == {3: ("裙", {8})}
    assert report.notes == ("1 correct items of test were left out: the pool has integer ids",)


def test_skipped_files_are_listed(tmp_path: Path) -> None:
    write_file(tmp_path / "in" / "a.jpg", image_bytes(1))
    write_file(tmp_path / "in" / "sub" / "notes.txt", "x")
    report = convert_to(tmp_path / "in", tmp_path / "out", "muge")
    assert report.notes == ("all: skipped 1 files ending in .txt, such as sub/notes.txt",)
