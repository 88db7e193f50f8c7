"""Files of attributes: the types that are inferred, the values, and every fault with its line."""

import gzip
import json
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tusou.attributes.schema import Attributes
from tusou.core.errors import BadDataset
from tusou.data.attribute_file import AttributeFile

GOODS = """\
item_id,title,price,stock,new,listed,tags,sku
1006938,纯棉碎花吊带裙 女夏,99.0,3,true,2024-02-29,"[""夏季"", ""新款""]",007
1.jpg#zhc#0,"北欧轻奢,边几",99,,FALSE,1999-12-31,,12
连衣裙/夏 1,"第一行
第二行",-0.5,0,,,[],
"""
EXPECTED: dict[str, Attributes] = {
    "1006938": {
        "title": "纯棉碎花吊带裙 女夏",
        "price": 99.0,
        "stock": 3,
        "new": True,
        "listed": "2024-02-29",
        "tags": ["夏季", "新款"],
        "sku": "007",
    },
    "1.jpg#zhc#0": {
        "title": "北欧轻奢,边几",
        "price": 99.0,
        "new": False,
        "listed": "1999-12-31",
        "sku": "12",
    },
    "连衣裙/夏 1": {"title": "第一行\n第二行", "price": -0.5, "stock": 0, "tags": []},
}
SCHEMA = {
    "title": "string",
    "price": "number",
    "stock": "integer",
    "new": "boolean",
    "listed": "date",
    "tags": "strings",
    "sku": "string",
}


def write(path: Path, content: str | bytes) -> AttributeFile:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return AttributeFile(path)


def read(path: Path, content: str | bytes) -> dict[str, Attributes]:
    return dict(write(path, content).rows())


def json_lines(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def faults(path: Path, content: str | bytes) -> list[str]:
    """Return the faults that the message lists."""
    with pytest.raises(BadDataset) as caught:
        read(path, content)
    head, *listed = str(caught.value).split("\n  ")
    assert head == f"{path}: {len(listed)} faults"
    return listed


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
@pytest.mark.parametrize("form", ["csv", "gz", "zip"])
def test_a_table_in_every_encoding_and_compression(
    tmp_path: Path, encoding: str, form: str
) -> None:
    data = GOODS.encode(encoding)
    path = tmp_path / f"goods.{form}"
    if form == "gz":
        data = gzip.compress(data)
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("goods.csv", data)
        data = path.read_bytes()
    file = write(path, data)
    assert (file.schema, file.notices) == (SCHEMA, [])
    assert dict(file.rows()) == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_json_lines_say_the_same(tmp_path: Path, encoding: str) -> None:
    rows = [{"id": item_id, **attributes} for item_id, attributes in EXPECTED.items()]
    rows[0] = {**rows[0], "id": 1006938, "price": 99}  # integers and fractions are numbers
    rows[1]["stock"] = None
    data = json_lines(*rows).replace("\n", "\r\n\r\n").encode(encoding)
    file = write(tmp_path / "goods.jsonl", data)
    assert (file.schema, dict(file.rows())) == (SCHEMA, EXPECTED)


def test_parquet_says_the_same(tmp_path: Path) -> None:
    rows = list(EXPECTED.values())
    columns = {name: pa.array([row.get(name) for row in rows]) for name in SCHEMA}
    columns["price"] = columns["price"].cast(pa.float32())
    columns["listed"] = columns["listed"].cast(pa.date32())
    columns["sku"] = columns["sku"].dictionary_encode()
    pq.write_table(pa.table({"image_id": list(EXPECTED), **columns}), tmp_path / "goods.bin")
    file = AttributeFile(tmp_path / "goods.bin")
    assert (file.schema, dict(file.rows())) == (SCHEMA, EXPECTED)


def test_types_that_only_parquet_has(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.uint32()),
            "price": pa.array([Decimal("99.00"), Decimal("0.10")]),
            "stock": pa.array([Decimal("7"), None], pa.decimal128(5, 0)),
            "float": pa.array([0.1, 99], pa.float32()),
            "day": pa.array([datetime(2024, 5, 1), None], pa.timestamp("ns")),
            "moment": pa.array([datetime(2024, 5, 1), datetime(2024, 5, 1, 9, 30)]),
            "utc": pa.array([datetime(2024, 5, 1, tzinfo=UTC), None]),
            "nothing": pa.nulls(2),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    assert dict(AttributeFile(tmp_path / "x.parquet").rows()) == {
        "1": {
            "price": 99.0,
            "stock": 7,
            "float": 0.1,
            "day": "2024-05-01",
            "moment": "2024-05-01",
            "utc": "2024-05-01T00:00:00+00:00",
        },
        "2": {"price": 0.1, "float": 99.0, "moment": "2024-05-01T09:30:00"},
    }


def test_parquet_columns_that_are_no_attributes_are_refused_together(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": [1], "raw": [b"x"], "deep": [{"a": 1}]}), path)
    with pytest.raises(BadDataset, match=r"raw \(binary\), deep \(struct<a: int64>\)"):
        AttributeFile(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadDataset, match="not a readable Parquet file"):
        AttributeFile(path)


def test_a_nan_of_parquet_is_named_with_its_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "price": [5.0, float("nan")]}), tmp_path / "x.parquet")
    with pytest.raises(BadDataset, match="row 2: “price” is not a finite number"):
        list(AttributeFile(tmp_path / "x.parquet").rows())


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-2"], "integer"),
        (["1", "2.50"], "number"),
        (["1e+20", "3"], "number"),
        (["007", "8"], "string"),
        (["3E8", "4"], "string"),
        (["9223372036854775807"], "integer"),
        (["9223372036854775808"], "string"),  # a number would lose its digits
        (["1e+999"], "string"),
        (["￥99", "1,299"], "string"),
        (["True", "FALSE"], "boolean"),
        (["true", "1"], "string"),
        (["2024-02-29"], "date"),
        (["2024-02-30"], "string"),
        (["2024-02-29", "昨天"], "string"),
        (['["夏季"]', "[]"], "strings"),
        (["夏季|新款"], "string"),
        (["[1]"], "string"),
        (["[夏季]"], "string"),
        (["nan"], "string"),
    ],
)
def test_the_type_of_a_column_is_that_of_all_its_cells(
    tmp_path: Path, cells: list[str], kind: str
) -> None:
    rows = "".join(f'{n},"{cell.replace(chr(34), chr(34) * 2)}"\n' for n, cell in enumerate(cells))
    file = write(tmp_path / "x.csv", f"id,x\n{rows}99,\n")
    assert file.schema == {"x": kind}
    values = [row.attributes.get("x") for row in file.rows()]
    if kind == "string":
        assert values == [*cells, None]
    else:
        assert "string" not in {type(value) for value in values}
        assert values[-1] is None


def test_few_texts_that_make_a_column_text_are_noticed(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n}.5,{n}\n" for n in range(2, 21))
    file = write(tmp_path / "x.csv", f"id,price,sku\n{rows}21,面议,A\n22,0,B\n23,0,C\n")
    assert file.schema == {"price": "string", "sku": "string"}
    (notice,) = file.notices  # the codes are three texts of 22
    assert notice == (
        "“price” is read as text: of its 22 values, 1 cannot be read as a number; "
        "the first is in line 21"
    )


def test_json_texts_stay_texts_and_empty_ones_are_values(tmp_path: Path) -> None:
    content = json_lines({"id": 1, "x": "99", "y": ""}, {"id": 2, "x": "true"})
    file = write(tmp_path / "x.jsonl", content)
    assert file.schema == {"x": "string", "y": "string"}
    assert dict(file.rows()) == {"1": {"x": "99", "y": ""}, "2": {"x": "true"}}


def test_ids_are_compared_as_text(tmp_path: Path) -> None:
    content = json_lines({"id": 7, "x": 1}, {"id": "007", "x": 2}, {"id": "７", "x": 3})
    assert list(read(tmp_path / "x.jsonl", content)) == ["7", "007", "７"]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [(["id", "item_id"], "item_id"), (["text_id", "image_id"], "image_id"), (["ID"], "ID")],
)
def test_the_id_is_under_the_first_known_name_and_others_are_attributes(
    tmp_path: Path, names: list[str], chosen: str
) -> None:
    header = ",".join([*names, "x"])
    file = write(tmp_path / "x.csv", f"{header}\n{','.join('a' * len(names))},5\n")
    assert file.id_name == chosen
    assert set(file.schema) == {*names, "x"} - {chosen}


def test_all_faults_of_json_lines_are_listed_with_their_lines(tmp_path: Path) -> None:
    rows = [
        '{"id": 1, "price": 5, "tags": ["a"], "title": "裙"}',
        '{"id": 2, "price": "99", "tags": "a", "title": 5}',
        '{"id": 1, "price": 5.5}',
        '{"id": 3, "price": NaN}',
        '{"id": 4, "price": 1e999}',
        '{"id": 5, "price": 9007199254740993}',
        '{"id": 6, "size": {"w": 5}, "tags": [1]}',
        '{"id": 7, "$price": 5, " x": 1, "' + "n" * 65 + '": 1, "a\\u200bb": 2}',
        '{"id": 8, "title": "' + "长" * 5462 + '"}',
        '{"id": 9, "title": "\\ud800"}',
        '{"id": 1.5, "title": "x"}',
        '{"title": "x"}',
        '{"id": " 9"}',
        '{"id": 10, "title": "x", "title": "y"}',
    ]
    assert faults(tmp_path / "x.jsonl", "\n".join(rows)) == [
        "line 2: “price” is a text, not a number",
        "line 2: “tags” is a text, not a list of strings",
        "line 2: “title” is an integer, not a text",
        "line 3: the item of line 1 again",
        "line 4: not a JSON object (NaN is not a JSON number)",
        "line 5: “price” is not a finite number",
        "line 6: “price” is an integer that is not exact among numbers with fractions",
        "line 7: “size” is an object; write its members as attributes of their own",
        "line 7: “tags” is a list of other things than strings",
        "line 8: “$price” begins with $, as operators of filters do",
        "line 8: “ x” is a name with invisible characters, or blanks around it",
        f"line 8: “{'n' * 64}”… is a name of over 64 characters",
        "line 8: “a?b” is a name with invisible characters, or blanks around it",
        "line 9: “title” is a text of over 16,384 bytes",
        "line 10: “title” is a text with half of a surrogate pair",
        "line 11: id is missing, or neither an integer nor a text",
        "line 12: id is missing, or neither an integer nor a text",
        "line 13: id with blanks around it or control characters",
        "line 14: not a JSON object (a field appears twice)",
    ]


def test_values_beyond_the_limits_and_lines_of_other_kinds(tmp_path: Path) -> None:
    rows = [
        '{"id": 10, "stock": 5, "tags": ["' + '", "'.join(map(str, range(256))) + '"]}',
        '{"id": 11, "stock": 9223372036854775808, "tags": [' + '"a", ' * 256 + '"a"]}',
        "[]",
        '{"id": 12, "title": "' + "x" * 70_000 + '"}',
        '{"id": 13, "new": true, "stock": true}',
        '{"id": 14, "stock": 5.5e0, "tags": ["a", null]}',
    ]
    assert faults(tmp_path / "x.jsonl", "\n".join(rows)) == [
        "line 2: “stock” is an integer beyond 64 bits",
        "line 2: “tags” is a list of over 256 strings",
        "line 3: not a JSON object",
        "line 4: line longer than 65536 bytes",
        "line 5: “stock” is true or false, not a number",
        "line 6: “tags” is a list of other things than strings",
    ]


def test_all_faults_of_a_table_are_listed_with_their_lines(tmp_path: Path) -> None:
    content = 'id,price,\n1,5,\n2,6,没有名字\n3\n4,"7\n5,8,\n5,8,\n,9,\n'
    assert faults(tmp_path / "x.csv", content) == [
        "line 3: a value without an attribute's name",
        "line 4: 1 cells where the header names 3",
        "line 5: a quote opens a cell that does not close",
        "line 7: the item of line 6 again",
        "line 8: id is missing, or neither an integer nor a text",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "", "is empty"),
        ("x.csv", "sku,title\n1,裙\n", r"no field item_id, image_id, text_id or id in line 2"),
        ("x.csv", "id,a,b,a\n1,2,3,4\n", r"x\.csv:1: a heads several columns"),
        ("x.csv", "id,title\n", "no attributes in the file"),
        ("x.csv", "id,title\n1,\n", "no attributes in the file"),
        ("x.jsonl", "[]\n", "is one JSON array"),
        ("x.jsonl", "x\n", "1 faults\n  line 1: not a JSON object"),
        ("x.json", '{"name": 5}\n', "no field item_id"),
        ("x.csv", b"\x89PNG\r\n\x1a\n", "is a PNG image"),
        (
            "x.csv.gz",
            gzip.compress(b"id,x\n1,2\n", mtime=0)[:-9],
            "gzip file is cut off or damaged",
        ),
        ("x.csv", b"SQLite format 3\0", "is an SQLite database"),
    ],
)
def test_files_that_hold_no_attributes_are_refused(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(BadDataset, match=message):
        read(tmp_path / name, content)


def test_too_many_attributes_are_refused_with_the_line_of_the_last(tmp_path: Path) -> None:
    rows = [{"id": n, f"a{2 * n}": 1, f"a{2 * n + 1}": 1} for n in range(130)]
    assert len(read(tmp_path / "x.jsonl", json_lines(*rows[:128]))) == 128
    with pytest.raises(BadDataset, match="more than 256 attributes, of which line 129"):
        read(tmp_path / "x.jsonl", json_lines(*rows))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="is not a file"):
        AttributeFile(tmp_path)


def test_dates_of_parquet_before_1970(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "day": pa.array([date(1, 1, 1)])})
    pq.write_table(table, tmp_path / "x.parquet")
    assert dict(AttributeFile(tmp_path / "x.parquet").rows()) == {"a": {"day": "0001-01-01"}}
