"""MUGE's and cn_clip's folders: a split needs either of its two files."""

from pathlib import Path

import pytest
from reading import read_items, read_queries, write_file

from tusou.core.errors import BadDataset
from tusou.data import ImageQuery, ItemRow, open_dataset, open_pool

MUGE_ROWS = (
    '{"query_id": 1, "query_text": "裙", "item_ids": [7, 8]}\n'
    '{"query_id": 2, "query_text": "鞋", "item_ids": [8]}\n'
)
CN_CLIP_ROWS = (
    '{"text_id": 1, "text": "裙", "image_ids": [7, 8]}\n'
    '{"text_id": 2, "text": "鞋", "image_ids": [8]}\n'
)


def muge(root: Path) -> Path:
    write_file(root / "MR_valid_imgs.tsv", "7\tQUJD\n8\tREVG\n")
    write_file(root / "MR_valid_queries.jsonl", MUGE_ROWS)
    write_file(root / "MR_test_queries.jsonl", '{"query_id": 3, "query_text": "包"}\n')
    return root


def cn_clip(root: Path) -> Path:
    write_file(root / "valid_imgs.tsv", "7\tQUJD\n8\tREVG\n")
    write_file(root / "valid_texts.jsonl", CN_CLIP_ROWS)
    return root


@pytest.mark.parametrize("make", [muge, cn_clip])
def test_queries_in_both_directions(tmp_path: Path, make) -> None:
    source = f"{make(tmp_path)}#valid"
    assert read_items(source) == [("7", b"QUJD"), ("8", b"REVG")]
    assert open_pool(source).encoding == "base64"
    assert read_queries(source) == [(1, "裙", (7, 8)), (2, "鞋", (8,))]
    assert open_dataset(source).image_queries() == [
        ImageQuery(1, 7, (1,)),
        ImageQuery(2, 8, (1, 2)),
    ]


def test_flickr30k_cn_as_cn_clip_gives_it_out(tmp_path: Path) -> None:
    """Three splits of a table and a file of texts, beside what its programs make of them."""
    for split in ("train", "valid", "test"):
        write_file(tmp_path / f"{split}_imgs.tsv", "1007129816\tQUJD\n")
        write_file(tmp_path / f"._{split}_imgs.tsv", b"\x00\xa2\xb0Mac OS X")
        text = '{"text_id": 1, "text": "一个戴啤酒罐帽子的男人", "image_ids": [1007129816]}\n'
        write_file(tmp_path / f"{split}_texts.jsonl", text)
        write_file(tmp_path / f"{split}_texts.tr.jsonl", '{"image_id": 1, "text_ids": [1]}\n')
        write_file(tmp_path / "lmdb" / split / "imgs" / "data.mdb", b"\x00")
    assert open_dataset(str(tmp_path)).splits() == ["train", "valid", "test"]
    query = (1, "一个戴啤酒罐帽子的男人", (1007129816,))
    assert read_queries(f"{tmp_path}#test") == [query]
    assert read_items(f"{tmp_path}#val") == [("1007129816", b"QUJD")]


def test_a_missing_file_is_an_error_only_when_it_is_read(tmp_path: Path) -> None:
    data = open_dataset(str(muge(tmp_path)))
    assert data.splits() == ["valid", "test"]
    assert data.queries("test")[0].item_ids is None
    assert data.image_queries("test") == []
    with pytest.raises(BadDataset, match=r"MR_test_imgs\.tsv is missing"):
        data.images("test")


def test_a_split_must_be_named_if_there_are_several(tmp_path: Path) -> None:
    assert [query.query_id for query in open_dataset(str(cn_clip(tmp_path / "a"))).queries()] == [
        1,
        2,
    ]
    source = str(muge(tmp_path / "b"))
    with pytest.raises(BadDataset, match=r"several splits; give .*b#valid, .*b#test$"):
        open_dataset(source).queries()
    with pytest.raises(BadDataset, match=r"no split 'train'; give .*b#valid, .*b#test$"):
        open_dataset(f"{source}#train")
    assert open_dataset(f"{source}#dev").splits() == ["valid"]


def test_single_files(tmp_path: Path) -> None:
    muge(tmp_path)
    images, queries = tmp_path / "MR_valid_imgs.tsv", tmp_path / "MR_valid_queries.jsonl"
    assert read_items(images) == [("7", b"QUJD"), ("8", b"REVG")]
    assert [query.text for query in open_dataset(str(queries)).queries()] == ["裙", "鞋"]
    with pytest.raises(BadDataset, match="holds images, no queries"):
        open_dataset(str(images)).queries()
    with pytest.raises(BadDataset, match="holds queries, no images"):
        open_dataset(str(queries)).images()
    texts = open_pool(str(queries))  # texts as items
    rows = [row for row in texts.scan() if isinstance(row, ItemRow)]
    assert (texts.kind, len(rows)) == ("texts", 2)


def test_folders_named_like_splits_are_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_file(tmp_path / split / "a.jpg", split)
    assert read_items(f"{tmp_path}#test") == [("a", b"test")]
    write_file(tmp_path / "other" / "a.jpg", "x")
    assert [item[0] for item in read_items(tmp_path)] == ["other/a", "test/a", "train/a"]


def test_all_unusable_lines_are_listed(tmp_path: Path) -> None:
    path = write_file(
        tmp_path / "q.jsonl",
        '{\n{"query_id": 1, "query_text": "裙"}\n\n{"query_id": 2, "query_text": "鞋"}',
    )
    with pytest.raises(
        BadDataset, match=r"2 unusable lines\n  line 1: not .*\n  line 3: blank line$"
    ):
        open_dataset(str(path)).queries()
