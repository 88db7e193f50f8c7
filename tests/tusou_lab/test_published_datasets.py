"""Published datasets through the commands: check, convert, index and evaluate, in both directions.

Each has images that are real files: one is a GIF called .jpg, one is missing.
"""

import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import typer
from drawing import image_bytes
from reading import write_file
from typer.testing import CliRunner

from tusou.cli.main import VERBS
from tusou.core.lazy_import import LazyImport
from tusou.data import open_dataset

pytestmark = pytest.mark.services

COUNT = 6  # images of the split that is searched; the last one has no file
TEXTS = ["红色,连衣裙", "１路“公交车”", "一只\t猫", "桌上的 iPhone 6", "两个人。", "没有这张图"]


def invoke(verb: str, *words: object) -> Any:
    app = typer.Typer()
    app.command()(LazyImport(VERBS[verb][0]).load())  # type: ignore[type-var]
    return CliRunner().invoke(app, list(map(str, words)))


def run(verb: str, *words: object, status: int = 0) -> Any:
    result = invoke(verb, *words, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def write_images(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names[:-1]):
        form = "GIF" if number == 1 else "JPEG"
        write_file(folder / name, image_bytes(number, form=form))


def coco_cn(root: Path) -> str:
    ids = [f"COCO_val2014_{number:012d}" for number in range(COUNT)]
    archive = root / "coco-cn-version1805v1.1"
    write_file(archive / "coco-cn_train.txt", "COCO_train2014_000000000001\n")
    write_file(archive / "coco-cn_test.txt", "\r\n".join(ids))
    captions = "".join(f"{each}#0\t{text}\n" for each, text in zip(ids, TEXTS, strict=True))
    captions += "COCO_train2014_000000000001#0\t别的划分\n"
    write_file(archive / "imageid.human-written-caption.txt", f"\ufeff{captions}")
    write_images(root / "val2014", [f"{each}.jpg" for each in ids])
    return f"{root}#test"


def flickr30k_cn(root: Path) -> str:
    name = "flickr30kzhmbosontest"
    captions = "".join(
        f"{1000 + n}#zhm#0 "
        + " ".join(f"{character}:n" for character in text if character > " ")
        + "\n"
        for n, text in enumerate(TEXTS)
    )
    write_file(root / name / "TextData" / f"seg.{name}.caption.txt", captions)
    ids = "".join(f"{1000 + n}\n" for n in range(COUNT))
    write_file(root / name / "ImageSets" / f"{name}.txt", ids)
    write_images(root / "flickr30k-images", [f"{1000 + n}.jpg" for n in range(COUNT)])
    return f"{root}#test"


def flickr30k_cna(root: Path) -> str:
    lines = "".join(f"{1000 + n}\t{text}\r\n" for n, text in enumerate(TEXTS))
    write_file(root / "val" / "flickr30k_cna_val.txt", lines)
    write_images(root / "Flickr30k-images", [f"{1000 + n}.jpg" for n in range(COUNT)])
    return f"{root}#valid"


def zero_icr(root: Path) -> str:
    rows = [{"text": text, "image_path": f"ICR/images/a{n}.jpg"} for n, text in enumerate(TEXTS)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_file(root / "ICR" / "val" / "long_itr_val.json", lines)
    write_images(root / "IQR_IQM_ICR_ICM_images", [f"a{n}.jpg" for n in range(COUNT)])
    return str(root / "ICR")


def zero_iqm(root: Path) -> str:
    rows = [
        {"text": text, "image_path": f"IQM/a{n}.jpg", "label": label}
        for n, texts in enumerate(zip(TEXTS, reversed(TEXTS), strict=True))
        for label, text in zip((1, 0), texts, strict=True)
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_file(root / "IQM" / "val" / "short_itm_val.json", lines)
    write_images(root / "IQR_IQM_ICR_ICM_images", [f"a{n}.jpg" for n in range(COUNT)])
    return str(root / "IQM")


def wukong(root: Path) -> str:
    rows = [f'{n}.jpg,"{text}",[],http://a/{n}.jpg\n' for n, text in enumerate(TEXTS)]
    write_file(root / "wukong_test.csv", "\ufeffdir,text,token,url\n" + "".join(rows))
    write_images(root / "wukong_test_images", [f"{n}.jpg" for n in range(COUNT)])
    return str(root)


def taisu(root: Path) -> str:
    lines = [f"car{n}&*****{text}*****None\n" for n, text in enumerate(TEXTS)]
    write_file(root / "captions.txt", "".join(lines) + "elsewhere*****别的包*****None\n")
    with tarfile.open(root / "baidu_images0.tar", "w") as tar:
        for number in range(COUNT):
            # The last image is damaged: members of a tar are never missing.
            form = "GIF" if number == 1 else "JPEG"
            data = image_bytes(number, form=form) if number < COUNT - 1 else b"\xff\xd8damaged"
            member = tarfile.TarInfo(f"images/car{number}&.jpg")
            member.size = len(data)
            tar.addfile(member, BytesIO(data))
    return str(root)


DATASETS = [coco_cn, flickr30k_cn, flickr30k_cna, zero_icr, zero_iqm, wukong, taisu]


@pytest.mark.parametrize("write", DATASETS, ids=lambda write: write.__name__)
def test_commands_take_the_dataset(
    write: Callable[[Path], str], tiny_model: Path, tmp_path: Path
) -> None:
    source = write(tmp_path / "data")
    queries = open_dataset(source).queries()
    assert len(queries) == COUNT

    report = run("check", source, status=1)
    findings = {finding["code"]: finding["count"] for finding in report["findings"]}
    assert findings["unusable_images"] == 1
    assert findings["dangling_ids"] == 1
    # Names of a tar's members are not compared with their formats.
    assert findings.get("wrong_endings", 0) == (write is not taisu)
    assert findings.get("unmatched_pairs", 0) == (COUNT if write is zero_iqm else 0)
    assert "unusable_lines" not in findings

    converted = run("convert", source, tmp_path / "muge", "--to", "muge")
    [split] = converted["splits"]
    # Damaged images are copied, since none is decoded; missing ones cannot be.
    missing = int(write is not taisu)
    assert (split["items"], split["queries"], split["failed"]) == (COUNT - missing, COUNT, missing)
    assert ("label 0" in str(converted["notes"])) == (write is zero_iqm)
    same = open_dataset(str(tmp_path / "muge")).queries()
    assert [(row.query_id, row.text, row.item_ids) for row in same] == [
        (row.query_id, row.text, row.item_ids) for row in queries
    ]

    options = ("--model", tiny_model, "--max-bad", "50%")
    run("index", source, "--out", tmp_path / "images", *options)
    scored = run("evaluate", tmp_path / "images", "--answers", source, "--top-k", COUNT - 1)
    assert (scored["queries"], scored["answers_outside_pool"]) == (COUNT, 1)
    assert scored["direction"] == "text_to_image"
    # Every correct image that has a file is found.
    assert scored["percent"][f"hit@{COUNT - 1}"] == pytest.approx(100 * (COUNT - 1) / COUNT)

    [captions] = (tmp_path / "muge").glob("*_queries.jsonl")
    run("index", captions, "--out", tmp_path / "texts", "--model", tiny_model)
    rankings = ("--top-k", COUNT, "--save", tmp_path / "run.jsonl")
    found = run("evaluate", tmp_path / "texts", "--answers", source, *rankings)
    assert (found["direction"], found["queries"]) == ("image_to_text", COUNT)
    _, *rows = map(json.loads, (tmp_path / "run.jsonl").read_text("utf-8").splitlines())
    assert [row["query_id"] for row in rows] == [query.item_ids[0] for query in queries]
    assert all({*row["item_ids"]} == {query.query_id for query in queries} for row in rows)


def test_pairs_of_a_task_are_scored(tiny_model: Path, tmp_path: Path) -> None:
    source = zero_iqm(tmp_path / "data")
    run("index", source, "--out", tmp_path / "b", "--model", tiny_model, "--max-bad", "50%")
    report = run("evaluate", tmp_path / "b", "--pairs", source)
    assert (report["pairs"], report["matching"], report["unknown_pairs"]) == (10, 5, 2)


def test_addresses_are_not_indexed(tiny_model: Path, tmp_path: Path) -> None:
    write_file(tmp_path / "wukong_100m_0.csv", "url,caption\nhttp://a/1.jpg,裙\n")
    result = invoke("index", tmp_path, "--out", tmp_path / "b", "--model", tiny_model)
    assert result.exit_code == 1
    assert "addresses, no images; download them with img2dataset" in result.output
    assert "Traceback" not in result.output
