"""Flickr8k in five caption formats, with and without lists of splits."""

import json
from pathlib import Path

import pytest
from reading import read_items, read_queries, write_file

from tusou.core.errors import BadDataset
from tusou.data import ImageQuery, open_dataset

TOKENS = "1.jpg#0\t一只狗\n1.jpg#1\t狗 在 跑\n2.jpg#0\t一个女孩\n2258.jpg.1#0\t没有这张\n"


def flickr(root: Path, **captions: bytes | str) -> Path:
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        write_file(root / "images" / name, name)
    for name, content in captions.items():
        write_file(root / name.replace("__", "."), content)
    return root


def listed(root: Path) -> Path:
    write_file(root / "Flickr_8k.trainImages.txt", "1.jpg\n\n3.jpg\n")
    write_file(root / "Flickr_8k.devImages.txt", "2.jpg\r\n")
    write_file(root / "Flickr_8k.testImages.txt", "9.jpg\n../1.jpg\n2.jpg\n")
    return root


SAME = [("1.jpg#0", "一只狗", ("1.jpg",)), ("1.jpg#1", "狗,在跑", ("1.jpg",))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param(
            "captions.json", '[{"image": "1.jpg", "captions": ["一只狗", "狗,在跑"]}]', id="json"
        ),
        pytest.param("captions.json", '{"1.jpg": ["一只狗", "狗,在跑"]}', id="object"),
        pytest.param("captions.json", '{"images/1": ["一只狗", "狗,在跑"]}', id="object-of-paths"),
        pytest.param(
            "captions.json",
            '[{"image": "1.jpg", "caption": "一只狗"}, {"image": "1.jpg", "caption": "狗,在跑"}]',
            id="rows",
        ),
        pytest.param(
            "dataset_flickr8k.json",
            '{"images": [{"filename": "1.jpg", "imgid": 0, "sentences": [{"raw": "一只狗"}, '
            '{"tokens": ["狗"], "raw": "狗,在跑"}]}], "dataset": "flickr8k"}',
            id="karpathy",
        ),
        pytest.param("captions.csv", "image,caption\n1.jpg,一只狗\n1.jpg,狗,在跑\n", id="csv"),
        pytest.param("Flickr8k.token.txt", "1.jpg#0\t一只狗\n1.jpg#1\t狗,在跑\n", id="token"),
        pytest.param(
            "Flickr8k.token.txt", "1.jpg#0\t一只狗\r\n1.jpg#1\t狗,在跑".encode("gbk"), id="gbk"
        ),
        pytest.param("captions.txt", "image,caption\n1.jpg,一只狗\n1.jpg,狗,在跑\n", id="table"),
        pytest.param(
            "captions.txt", '\ufeffimage,caption\n1.jpg,一只狗\n1.jpg,"狗,在跑"\n', id="quoted"
        ),
        pytest.param("captions.txt", "1.jpg#0\t一只狗\n1.jpg#1\t狗,在跑\n", id="token-in-captions"),
    ],
)
def test_every_caption_format_gives_the_same_queries(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    assert read_queries(flickr(tmp_path, **{name: content})) == SAME


def test_chinese_captions_leave_the_ending_out(tmp_path: Path) -> None:
    root = flickr(tmp_path, flickr8kzhc__caption__txt="1#zhc#0 一只狗\n1#zhc#1 狗在跑\n")
    write_file(root / "flickr8ktest.txt", "1\n")
    assert read_queries(f"{root}#test") == [
        ("1#zhc#0", "一只狗", ("1.jpg",)),
        ("1#zhc#1", "狗在跑", ("1.jpg",)),
    ]
    assert read_items(f"{root}#test") == [("1.jpg", b"1.jpg")]


def test_chinese_captions_are_preferred_and_a_file_can_be_given(tmp_path: Path) -> None:
    root = flickr(tmp_path, flickr8kzhc__caption__txt="1#zhc#0 一只狗\n")
    write_file(root / "Flickr8k_text" / "Flickr8k.token.txt", "1.jpg#0\ta dog\n")
    assert read_queries(root) == [("1#zhc#0", "一只狗", ("1.jpg",))]
    named = root / "Flickr8k_text" / "Flickr8k.token.txt"
    assert read_queries(named) == [("1.jpg#0", "a dog", ("1.jpg",))]


def test_lists_define_splits_and_their_unknown_names_are_failures(tmp_path: Path) -> None:
    root = listed(flickr(tmp_path, Flickr8k__token__txt=TOKENS))
    assert open_dataset(str(root)).splits() == ["train", "dev", "test"]
    assert read_items(f"{root}#train") == [("1.jpg", b"1.jpg"), ("3.jpg", b"3.jpg")]
    assert read_items(f"{root}#valid") == [("2.jpg", b"2.jpg")]  # its name elsewhere
    assert read_items(f"{root}#test") == [
        (1, "cannot be read: No such file or directory"),
        (2, "a name that leaves the folder"),
        ("2.jpg", b"2.jpg"),
    ]
    assert read_queries(f"{root}#dev") == [("2.jpg#0", "一个女孩", ("2.jpg",))]
    with pytest.raises(BadDataset, match=r"several splits; give .*#train, .*#dev, .*#test$"):
        open_dataset(str(root)).images()


def test_without_lists_all_images_and_all_captions_are_one_split(tmp_path: Path) -> None:
    root = flickr(tmp_path, Flickr8k__token__txt=TOKENS)
    assert [item[0] for item in read_items(root)] == ["1.jpg", "2.jpg", "3.jpg"]
    assert read_queries(root)[-1] == ("2258.jpg.1#0", "没有这张", ("2258.jpg.1",))


def test_all_captions_of_an_image_query_are_correct(tmp_path: Path) -> None:
    root = flickr(tmp_path, Flickr8k__token__txt=TOKENS)
    assert open_dataset(str(root)).image_queries()[:2] == [
        ImageQuery(1, "1.jpg", ("1.jpg#0", "1.jpg#1")),
        ImageQuery(2, "2.jpg", ("2.jpg#0",)),
    ]


def test_ids_written_by_convert_are_read(tmp_path: Path) -> None:
    rows = [
        {"image": "1.jpg", "item_id": 7, "captions": ["狗", "猫狗"], "caption_ids": [70, 71]},
        {"image": "2.jpg", "item_id": 8, "captions": ["猫狗"], "caption_ids": [71]},
    ]
    root = flickr(tmp_path, captions__json=json.dumps(rows))
    assert read_queries(root) == [(70, "狗", (7,)), (71, "猫狗", (7, 8))]
    assert [item[0] for item in read_items(root)] == ["7", "8", "3.jpg"]


def test_ids_of_images_that_are_named_by_their_path_are_read(tmp_path: Path) -> None:
    rows = [
        {"image": "images/1.jpg", "item_id": "item1", "captions": ["狗"]},
        {"image": "2", "item_id": "item2", "captions": ["猫"]},
    ]
    root = flickr(tmp_path, captions__json=json.dumps(rows))
    assert [query[2] for query in read_queries(root)] == [("item1",), ("item2",)]
    assert [item[0] for item in read_items(root)] == ["item1", "item2", "3.jpg"]


def test_a_number_is_no_name_where_a_file_name_stands_beside_it(tmp_path: Path) -> None:
    rows = [
        {"image_id": 1, "file_name": "2.jpg", "caption": "猫"},
        {"image": None, "image_id": "3.jpg", "caption": "狗"},
    ]
    root = flickr(tmp_path, captions__json=json.dumps(rows))
    assert [query[1:] for query in read_queries(root)] == [("猫", ("2.jpg",)), ("狗", ("3.jpg",))]


def test_unusable_entries_are_named(tmp_path: Path) -> None:
    rows = [{"image": 1, "captions": []}, {"image": "1.jpg", "captions": 7}, 3]
    assert read_queries(flickr(tmp_path, captions__json=json.dumps(rows))) == [
        (1, 'not an object with "image" and "captions"'),
        (2, '"captions" is not a list of texts'),
        (3, 'not an object with "image" and "captions"'),
    ]
    assert read_queries(flickr(tmp_path / "b", Flickr8k__token__txt="1.jpg 狗\n1.jpg#0\t\n")) == [
        (number, "expected NAME#NUMBER, a tab or blank, and the caption") for number in (1, 2)
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[\n{]", ":2: not JSON"),
        ("{}", "not a list"),
        (b"\xff", "not UTF-8 at byte 0"),
        ("[" * 10**5, "nested too deeply"),
    ],
)
def test_an_invalid_caption_file_is_refused(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(BadDataset, match=message):
        read_queries(flickr(tmp_path, captions__json=content))


def test_karpathys_file_divides_its_images(tmp_path: Path) -> None:
    images = [
        {"filename": f"{n}.jpg", "split": split, "sentences": [{"raw": f"狗 {n}"}]}
        for n, split in ((2, "test"), (1, "train"), (3, "train"))
    ]
    root = flickr(tmp_path, dataset_flickr8k__json=json.dumps({"images": images}))
    assert open_dataset(str(root)).splits() == ["train", "test"]
    assert [item[0] for item in read_items(f"{root}#train")] == ["1.jpg", "3.jpg"]
    assert read_queries(f"{root}#test") == [("2.jpg#0", "狗 2", ("2.jpg",))]
    del images[1]["split"]
    root = flickr(tmp_path / "b", dataset_flickr8k__json=json.dumps({"images": images}))
    assert open_dataset(str(root)).splits() == ["all"]


def test_cocos_annotations_keep_their_ids(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 17, "file_name": "1.jpg"}],
        "annotations": [
            {"id": 5, "image_id": 17, "caption": "一只狗"},
            {"id": 6, "image_id": 18, "caption": "没有这张"},
        ],
    }
    assert read_queries(flickr(tmp_path, captions__json=json.dumps(content))) == [
        (2, "an annotation without an image of the file"),
        (5, "一只狗", ("1.jpg",)),
    ]


def test_a_reader_says_what_it_understood(tmp_path: Path) -> None:
    content = {"1.jpg": ["a dog", "a dog runs"], "9.jpg": ["absent"]}
    reader = open_dataset(str(flickr(tmp_path / "a", captions__json=json.dumps(content)))).reader
    assert reader.describe() == (
        "captions.json: an object of images, each with its captions; 3 captions of 2 images, "
        "1 of which are not in images; no splits"
    )
    reader = open_dataset(str(listed(flickr(tmp_path / "b", Flickr8k__token__txt=TOKENS)))).reader
    assert reader.describe() == (
        "Flickr8k.token.txt: a line for each caption; 4 captions of 3 images, "
        "1 of which are not in images; lists of splits"
    )
