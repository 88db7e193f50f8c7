"""Attributes in a build: what a version holds, when it is made again, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from tusou_indexer.build import BuildReport, BuildSpec, build

from benchmarks.reliability.forgery import reseal, version_folder, write_manifest
from tusou.attributes.filters import parse_filter
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, CorruptBundle

pytestmark = pytest.mark.usefixtures("quick_builds")


class Notices(NoProgress):
    """Progress that keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def notice(self, message: str) -> None:
        self.messages.append(message)


def run(spec: BuildSpec, out: Path, *, force: bool = False) -> BuildReport:
    return build(spec, out, NoProgress(), force=force)


def write_rows(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.fixture
def goods(tmp_path: Path) -> Path:
    """Return a file of attributes, whose rows are in another order than the items."""
    return write_rows(
        tmp_path / "goods.jsonl",
        {"id": 1019, "title": "最后一件 连衣裙", "price": 99.0, "tags": ["夏季", "新款"]},
        {"id": "1000", "title": "", "price": 99, "listed": "2024-05-01"},
        {"id": 1003, "price": None},
    )


def test_a_version_holds_the_attributes_by_row_key(
    text_spec: BuildSpec, tmp_path: Path, goods: Path
) -> None:
    run(replace(text_spec, attributes=goods), tmp_path / "b")
    bundle = Bundle.open(tmp_path / "b")
    bundle.verify()
    bundle.check_parts()
    table = bundle.attributes
    assert table is not None
    assert bundle.manifest.attributes == {
        "title": "string",
        "price": "number",
        "tags": "strings",
        "listed": "date",
    }
    assert len(table) == bundle.item_count == 20
    assert table.row(bundle.key("1019")) == {
        "title": "最后一件 连衣裙",
        "price": 99.0,
        "tags": ["夏季", "新款"],
    }
    assert table.row(bundle.key("1000")) == {"title": "", "price": 99.0, "listed": "2024-05-01"}
    assert table.row(bundle.key("1003")) == table.row(bundle.key("1004")) == {}
    passing = table.mask(parse_filter({"price": 99})).nonzero()[0].tolist()
    assert passing == [bundle.key("1000"), bundle.key("1019")]


def test_a_version_without_attributes_has_none(text_spec: BuildSpec, tmp_path: Path) -> None:
    run(text_spec, tmp_path / "b")
    bundle = Bundle.open(tmp_path / "b")
    assert (bundle.attributes, bundle.manifest.attributes) == (None, None)


def test_changed_attributes_make_a_version_and_encode_nothing(
    text_spec: BuildSpec, tmp_path: Path, goods: Path
) -> None:
    spec, out = replace(text_spec, attributes=goods), tmp_path / "b"
    first = run(spec, out)
    files = {path: path.stat().st_mtime_ns for path in (out / first.version).iterdir()}
    assert run(spec, out).version == first.version
    assert {path: path.stat().st_mtime_ns for path in (out / first.version).iterdir()} == files
    renamed = goods.rename(tmp_path / "renamed.jsonl")
    assert run(replace(spec, attributes=renamed), out).version == first.version
    changed = write_rows(goods, {"id": 1000, "price": 5})
    again = run(replace(spec, attributes=changed), out)
    assert (again.encoded, again.reused) == (0, 20)
    alone = run(replace(spec, attributes=changed), tmp_path / "alone")
    assert first.version != again.version == alone.version  # the digest of every byte
    without = run(text_spec, out)
    assert (without.encoded, Bundle.open(out).attributes) == (0, None)


def test_rows_of_unknown_items_are_counted_and_listed(text_spec: BuildSpec, tmp_path: Path) -> None:
    rows = [{"id": f"{number:05}", "price": number} for number in range(990, 1010)]
    goods = write_rows(tmp_path / "goods.jsonl", *rows, {"id": 1000, "price": 7}, {"id": 2000})
    progress = Notices()
    build(replace(text_spec, attributes=goods), tmp_path / "b", progress)
    source = Bundle.open(tmp_path / "b").manifest.attribute_source
    assert source is not None
    assert (source.name, source.rows, source.unknown) == ("goods.jsonl", 22, 21)
    (message,) = (message for message in progress.messages if "goods.jsonl" in message)
    assert "21 of 22 rows are of items that the source does not have" in message
    assert "00990" in message
    assert "and 1 more; all of them are in " in message


def test_attributes_of_other_items_alone_are_refused_before_anything_is_encoded(
    text_spec: BuildSpec, tmp_path: Path
) -> None:
    goods = write_rows(tmp_path / "goods.jsonl", {"id": "01000", "price": 5})
    with pytest.raises(BadDataset, match=r"none of the ids .* first is 01000, .* item is 1000$"):
        run(replace(text_spec, attributes=goods), tmp_path / "b")
    assert list((tmp_path / "b").rglob("shards/*")) == []


def test_a_file_with_faults_is_refused_before_the_source_is_read(
    text_spec: BuildSpec, tmp_path: Path
) -> None:
    goods = write_rows(tmp_path / "goods.jsonl", {"id": 1000, "price": 5}, {"id": 1000})
    with pytest.raises(BadDataset, match=r"1 faults\n  line 2: the item of line 1 again"):
        run(replace(text_spec, attributes=goods), tmp_path / "b")
    assert not (tmp_path / "b" / ".build" / "plan").exists()


def test_an_item_that_failed_is_not_unknown(text_spec: BuildSpec, tmp_path: Path) -> None:
    source = tmp_path / "texts.jsonl"
    source.write_text('{"id": 1, "text": "裙"}\n{"id": 2, "text": ""}\n{"id": 3, "text": "鞋"}\n')
    goods = write_rows(tmp_path / "g.jsonl", *({"id": n, "price": n} for n in (1, 2, 3)))
    run(replace(text_spec, source=str(source), attributes=goods, max_bad="1"), tmp_path / "b")
    bundle = Bundle.open(tmp_path / "b")
    assert bundle.manifest.attribute_source is not None
    assert bundle.manifest.attribute_source.unknown == 0
    assert bundle.attributes is not None
    assert bundle.attributes.rows([0, 1]) == [{"price": 1}, {"price": 3}]


@pytest.fixture
def forged(text_spec: BuildSpec, tmp_path: Path) -> Path:
    """Return a bundle with a price for each item, to be changed."""
    goods = write_rows(tmp_path / "g.jsonl", *({"id": n, "price": n} for n in range(1000, 1020)))
    run(replace(text_spec, attributes=goods), tmp_path / "forged")
    return tmp_path / "forged"


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"price": pa.array(range(19))}, "attributes of 19 items"),
        ({"stock": pa.array(range(20))}, "other attributes than the manifest's"),
        ({"price": pa.array([0.5] * 20)}, "other attributes than the manifest's"),
        ({"price": pa.array([b"x"] * 20)}, r"attributes\.arrow"),
    ],
    ids=["rows", "names", "types", "other-type"],
)
def test_a_table_that_contradicts_the_manifest_is_refused_by_name(
    forged: Path, columns: dict[str, pa.Array], fault: str
) -> None:
    batch = pa.record_batch(columns)
    path = version_folder(forged) / "attributes.arrow"
    with pa.ipc.new_file(path, batch.schema) as writer:
        writer.write_batch(batch)
    reseal(forged)
    bundle = Bundle.open(forged)
    bundle.verify()
    with pytest.raises(CorruptBundle, match=fault):
        bundle.check_parts()


@pytest.mark.parametrize(
    "attributes", [None, {"$price": "integer"}, {"price": "float"}, {"a\nb": "integer"}]
)
def test_a_manifest_with_wrong_attributes_is_refused(forged: Path, attributes: object) -> None:
    manifest = json.loads((version_folder(forged) / "manifest.json").read_bytes())
    write_manifest(forged, manifest | {"attributes": attributes})
    with pytest.raises(CorruptBundle, match=r"manifest\.json"):
        Bundle.open(forged)


def test_a_damaged_file_of_attributes_is_noticed(forged: Path) -> None:
    path = version_folder(forged) / "attributes.arrow"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(CorruptBundle, match=r"attributes\.arrow"):
        Bundle.open(forged).verify()
    with pytest.raises(CorruptBundle, match=r"attributes\.arrow"):
        _ = Bundle.open(forged).attributes
