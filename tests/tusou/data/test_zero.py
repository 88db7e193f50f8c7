"""Zero's four tasks: pairs with labels, and pairs to find."""

import json
from pathlib import Path

import pytest
from reading import read_items, read_queries, write_file

from tusou.core.errors import BadDataset
from tusou.data import ImageQuery, MissingPart, open_dataset
from tusou.data.labelled_pairs import LabelledPair


def row(text: object, name: object, **label: object) -> str:
    values = {"text": text, "image_path": name, **label}
    return json.dumps(values, ensure_ascii=False) + "\n"


ICM = (
    "\ufeff"
    + row("红色,连衣裙", "ICM/images/a1.jpg", label=1)
    + row("一辆\t公交车", "ICM/images/a1.jpg", label=0)
    + row("“ＡＢＣ”", "a2.gif", label="1")
    + row("没有", "a3.jpg", label=0)
)


def zero(root: Path) -> Path:
    write_file(root / "ICM" / "val" / "long_itm_val.json", ICM.replace("\n", "\r\n"))
    write_file(root / "ICM" / "train" / "long_itm_train.json", row("裙", "a4.jpg", label=1))
    pairs = row("短 查询", "x/a1.jpg") + row("另一个", "x/a1.jpg") + row("猫", "x/a2.gif")
    write_file(root / "IQR" / "val" / "short_itr_val.json", pairs)
    for name in ("a1.jpg", "a2.gif", "a4.jpg"):
        write_file(root / "IQR_IQM_ICR_ICM_images" / name, name)
    return root


def test_a_task_with_labels(tmp_path: Path) -> None:
    root = zero(tmp_path) / "ICM"
    assert open_dataset(str(root)).splits() == ["train", "val"]
    dataset = open_dataset(f"{root}#valid")
    assert dataset.pairs() == [
        LabelledPair(1, "红色,连衣裙", "a1", matches=True),
        LabelledPair(2, "一辆\t公交车", "a1", matches=False),
        LabelledPair(3, "“ＡＢＣ”", "a2", matches=True),
        LabelledPair(4, "没有", "a3", matches=False),
    ]
    assert read_items(f"{root}#val") == [
        ("a1", b"a1.jpg"),
        ("a2", b"a2.gif"),
        (4, "cannot be read: No such file or directory"),
    ]
    # A text that does not match has no correct image: it is no query.
    assert read_queries(f"{root}#val") == [
        ("a1#0", "红色,连衣裙", ("a1",)),
        ("a2#0", "“ＡＢＣ”", ("a2",)),
    ]
    assert dataset.reader.describe() == "Zero's task ICM: labelled pairs of texts and images"


def test_a_task_without_labels(tmp_path: Path) -> None:
    root = zero(tmp_path) / "IQR"
    assert read_queries(root) == [
        ("a1#0", "短 查询", ("a1",)),
        ("a1#1", "另一个", ("a1",)),
        ("a2#0", "猫", ("a2",)),
    ]
    assert open_dataset(str(root)).image_queries() == [
        ImageQuery(1, "a1", ("a1#0", "a1#1")),
        ImageQuery(2, "a2", ("a2#0",)),
    ]
    assert [item[0] for item in read_items(root / "val" / "short_itr_val.json")] == ["a1", "a2"]
    with pytest.raises(MissingPart, match="no labelled pairs; give Zero's ICM or IQM"):
        open_dataset(str(root)).pairs()


def test_a_folder_of_several_tasks_is_ambiguous(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"several tasks of Zero \(ICM, IQR\); give the folder"):
        open_dataset(str(zero(tmp_path)))


def test_unusable_lines_are_named(tmp_path: Path) -> None:
    lines = [
        row("裙", "a.jpg", label=2),
        row("裙", "a.jpg"),
        row("裙", "a.jpg", label=True),
        row(7, "a.jpg", label=1),
        row("裙", "images/..", label=1),
        row("裙", None, label=1),
        "[1]\n",
    ]
    path = write_file(tmp_path / "long_itm_val.json", "{}\n" + "".join(lines))
    reasons = [
        "text missing or not a string",
        *["label is neither 0 nor 1"] * 3,
        "text missing or not a string",
        *["image_path missing or not a path"] * 2,
        "not a JSON object",
    ]
    assert read_queries(path) == list(enumerate(reasons, start=1))
    with pytest.raises(BadDataset, match="8 unusable lines"):
        open_dataset(str(path)).pairs()
    with pytest.raises(MissingPart, match=r"put them in .*IQR_IQM_ICR_ICM_images"):
        open_dataset(str(path)).images()


def test_pairs_of_a_plain_file(tmp_path: Path) -> None:
    rows = (
        '{"text": "裙", "item_id": 7, "label": 1}\n{"caption": "鞋", "image_id": "b", "label": 0}\n'
    )
    path = write_file(tmp_path / "pairs.jsonl", rows)
    assert open_dataset(str(path)).pairs() == [
        LabelledPair(1, "裙", 7, matches=True),
        LabelledPair(2, "鞋", "b", matches=False),
    ]
    write_file(path, '{"query_id": 1, "query_text": "裙"}\n{"text": 1, "item_id": 1}\n')
    with pytest.raises(BadDataset, match=r"(?s)line 1: item_id missing.*line 2: text missing"):
        open_dataset(str(path)).pairs()


def test_two_published_datasets_in_a_folder_are_ambiguous(tmp_path: Path) -> None:
    write_file(tmp_path / "long_itm_val.json", ICM)
    write_file(tmp_path / "imageid.caption.txt", "COCO_val2014_000000000042#0\t猫\n")
    with pytest.raises(BadDataset, match="holds COCO-CN's captions and Zero's pairs; give"):
        open_dataset(str(tmp_path))


def test_images_of_one_id_are_refused(tmp_path: Path) -> None:
    pairs = row("裙", "a.jpg", label=1) + row("鞋", "a.gif", label=0)
    path = write_file(tmp_path / "long_itm_val.json", pairs)
    with pytest.raises(BadDataset, match=r"line 2: a\.gif and a\.jpg have the same id"):
        open_dataset(str(path)).pairs()


def test_a_split_in_two_folders_is_ambiguous(tmp_path: Path) -> None:
    root = zero(tmp_path) / "ICM"
    write_file(root / "long_itm_val.json", row("裙", "a.jpg", label=1))
    with pytest.raises(BadDataset, match=r"itm_val\.json and .* are the same split; give one"):
        open_dataset(str(root))
