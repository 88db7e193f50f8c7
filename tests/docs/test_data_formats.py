"""The pages on data and evaluation document every metric and every reason for a failure."""

import json
import re
from io import BytesIO
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image
from tusou_client.query_file import read_queries

from tusou.attributes.schema import AttributeType
from tusou.attributes.values import MAX_ATTRIBUTES
from tusou.core.errors import BadDataset, BadImage
from tusou.core.ids import Failure
from tusou.data.attribute_file import ID_NAMES, AttributeFile
from tusou.data.formats.image_lines import MAX_LINE_BYTES, open_image_file
from tusou.data.formats.text_items import MAX_LINE_BYTES as TEXT_LINE_BYTES
from tusou.data.formats.text_items import open_text_file
from tusou.evaluation.metrics import JudgedRanking, score
from tusou.images.formats import decode_image
from tusou.images.preprocess import open_image

DOCS = Path(__file__).parents[2] / "docs"
DATA, EVALUATION = (DOCS / name for name in ("data.md", "evaluation.md"))


def test_every_metric_is_defined() -> None:
    names = {re.sub(r"^(hit|recall|precision)@\d+$", r"\1@k", name) for name in score([])}
    page = EVALUATION.read_text("utf-8")
    assert [name for name in sorted(names) if f"| `{name}` |" not in page] == []


def test_shorter_lists_name_their_depth() -> None:
    shorter = score([JudgedRanking([1] * 5, (1,))], depth=5)
    assert {"mrr@5", "ndcg@5"} <= shorter.keys()
    assert "(`mrr@5`, `ndcg@5`)" in EVALUATION.read_text("utf-8")


def test_every_reason_to_skip_a_line_is_listed(tmp_path: Path) -> None:
    lines = [
        b"  ",
        b"1",
        b"1\tx\ty",
        b"2\t" + b"A" * MAX_LINE_BYTES,
        b"\tx",
        b"9" * 300 + b"\tx",
        b"\xff\tx",
        b" 3\tx",
        b"4\t",
    ]
    (tmp_path / "pool.tsv").write_bytes(b"\n".join(lines) + b"\n")
    rows = list(open_image_file(tmp_path / "pool.tsv").scan())
    reasons = [row.reason for row in rows if isinstance(row, Failure)]
    assert len(reasons) == len(lines)
    assert [reason for reason in reasons if f"`{reason}`" not in DATA.read_text("utf-8")] == []


def test_every_reason_to_skip_a_text_is_listed(tmp_path: Path) -> None:
    lines = [
        b"[]",
        b'{"text": "x"}',
        b'{"id": 1}',
        b'{"id": 1, "text": " "}',
        b" " * (TEXT_LINE_BYTES + 1),
    ]
    (tmp_path / "texts.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    rows = list(open_text_file(tmp_path / "texts.jsonl").scan())
    reasons = [row.reason for row in rows if isinstance(row, Failure)]
    assert len(reasons) == len(lines)
    assert [reason for reason in reasons if f"`{reason}`" not in DATA.read_text("utf-8")] == []


def png(width: int, height: int) -> bytes:
    buffer = BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"GIF89a", id="format"),
        pytest.param(png(64, 64)[:60], id="cut"),
        pytest.param(png(65_536, 1), id="side"),
        pytest.param(b"\xff" * (2**23 + 1), id="bytes"),
    ],
)
def test_every_reason_to_skip_an_image_is_listed(data: bytes) -> None:
    with pytest.raises(BadImage) as raised:
        open_image(data)
    assert f"`{raised.value}`" in DATA.read_text("utf-8")


def test_bad_base64_is_listed() -> None:
    with pytest.raises(BadImage) as raised:
        decode_image(b"!")
    assert f"`{raised.value}`" in DATA.read_text("utf-8")


def test_the_example_rows_are_valid() -> None:
    shown = re.findall(r"^```json\n(.*?)\n```$", DATA.read_text("utf-8"), re.MULTILINE)
    rows = [json.loads(row) for row in shown]
    queries = [row for row in rows if "query_text" in row]
    assert len(rows) == 6
    assert [row.text for row in read_queries(json.dumps(queries[0]).encode())] == ["圣诞 抱枕"]
    assert len(queries[1]["item_ids"]) == len(set(queries[1]["item_ids"])) == 10


def test_attributes_are_documented_as_they_are_read(tmp_path: Path) -> None:
    page = DATA.read_text("utf-8")
    (example,) = re.findall(r'^\{"item_id".*"listed".*\}$', page, re.MULTILINE)
    (tmp_path / "goods.jsonl").write_text(example)
    types = {**AttributeFile(tmp_path / "goods.jsonl").schema, "": "integer", " ": "boolean"}
    assert set(types.values()) == set(get_args(AttributeType))
    assert [kind for kind in get_args(AttributeType) if f"| `{kind}` |" not in page] == []
    assert [name for name in ID_NAMES if f"`{name}`" not in page] == []
    assert f"`more than {MAX_ATTRIBUTES} attributes`" in page


def test_every_fault_in_attributes_is_listed(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": 1, "x": 5, "y": 0.5, "$z": 1, "n" * 65: 1, "a\tb": 1},
        {"id": 2, "x": "5"},
        {"id": 3, "x": {}},
        {"id": 4, "x": [1]},
        {"id": 5, "x": 2**63},
        {"id": 6, "y": 2**53 + 1},
        {"id": 7, "x": "x" * 16_385},
        {"id": 8, "x": ["x"] * 257},
        {"id": 3},
        {},
    ]
    path = tmp_path / "goods.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + '{"id": 9, "y": 1e999}\n')
    with pytest.raises(BadDataset) as caught:
        list(AttributeFile(path).rows())
    _, *faults = str(caught.value).splitlines()
    assert len(faults) == 13
    page = DATA.read_text("utf-8").replace("a text, not a number", "a text, not an integer")
    listed = re.findall(r"`(\w+ [^`]+)`", page)
    assert [fault for fault in faults if not any(each in fault for each in listed)] == []
