"""Replay and load of datasets of every format, which are read with Python alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from reading import write_file
from tusou_client.errors import BadQueries
from tusou_client.query_file import read_queries, read_source
from tusou_client.replay import replay

from tests.tusou_client.replaying import settings


def flickr(root: Path) -> Path:
    write_file(root / "images" / "1.jpg", "x")
    write_file(root / "captions.json", '[{"image": "1.jpg", "captions": ["一只狗", "狗在跑"]}]')
    write_file(root / "Flickr_8k.testImages.txt", "1.jpg\n")
    return root


def test_a_dataset_without_a_query_file_gives_rows_as_muge_has_them(
    server, service, tmp_path: Path
) -> None:
    out = tmp_path / "pred.jsonl"
    replay(f"{flickr(tmp_path)}#test", out, settings(server))
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {
            "query_id": f"1.jpg#{n}",
            "query_text": text,
            "item_ids": service.hits(text, 10)["item_ids"],
        }
        for n, text in enumerate(["一只狗", "狗在跑"])
    ]


def test_a_dataset_with_query_files_gives_their_bytes(tmp_path: Path) -> None:
    row = '{"text_id": 1,  "text": "裙", "image_ids": [], "weight": 1.10}\r\n'
    write_file(tmp_path / "test_texts.jsonl", row)
    assert read_source(str(tmp_path)) == row.encode()
    assert read_source(f"{tmp_path}#test") == row.encode()


def test_a_broken_dataset_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadQueries, match=r"no split 'valid'; give .*#test"):
        read_source(f"{flickr(tmp_path)}#valid")
    write_file(tmp_path / "captions.json", "[3]")
    with pytest.raises(BadQueries, match=r"1 unusable lines\n  line 1: not an object"):
        read_source(f"{tmp_path}#test")


def test_reading_needs_no_packages(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "hidden = ['numpy', 'PIL', 'pydantic', 'torch', 'typer', 'rich', 'httpx']\n"
        "sys.modules.update(dict.fromkeys(hidden))\n"
        "from tusou.data import open_dataset\n"
        "for source in sys.argv[1:]:\n"
        "    print(len(open_dataset(source).queries()))\n"
    )
    write_file(tmp_path / "teddy" / "ImageWordData.csv", "image_id,caption\n1.jpg,狗\n")
    write_file(tmp_path / "muge" / "MR_test_queries.jsonl", '{"query_id": 1, "query_text": "裙"}\n')
    sources = [str(flickr(tmp_path / "f")), str(tmp_path / "teddy"), str(tmp_path / "muge")]
    command = [sys.executable, "-c", code, *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "1", "1"]


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("teddy/ImageWordData.csv", "image_id,caption\n1.jpg,狗\n".encode("gb18030"), ["狗"]),
        ("muge/MR_test_queries.jsonl", '[{"query_id": 1, "query_text": "裙"}]', ["裙"]),
        ("cnclip/test_texts.jsonl", '{"text_id": 1, "text": "裙"}\n\n', ["裙"]),
        ("plain/queries.txt", "裙\r\n鞋\r\n", ["裙", "鞋"]),
    ],
)
def test_load_and_replay_read_every_format(
    tmp_path: Path, name: str, content: bytes | str, texts: list[str]
) -> None:
    path = write_file(tmp_path / name, content)
    source = path if path.suffix == ".txt" else path.parent
    assert [row.text for row in read_queries(read_source(str(source)))] == texts


def test_load_and_replay_read_tars(tmp_path: Path) -> None:
    case = Path(__file__).parents[1] / "cases" / "webdataset-members-passed-over-silently.tar"
    assert len(read_queries(read_source(str(case)))) == 4
    write_file(tmp_path / "images" / "1.jpg", "x")
    with pytest.raises(BadQueries, match="holds images, no queries; give a query file"):
        read_source(str(tmp_path / "images"))
