"""`tusou index --index milvus`: collections, the alias, and the manifest."""

from hashlib import sha256
from pathlib import Path

import pytest
from tusou_indexer.build import BuildSpec
from tusou_indexer.compact import compact

from tests.milvus.building import ITEMS, Index, write_source
from tests.milvus.lite_server import LiteServer
from tusou.bundle.bundle import Bundle
from tusou.core.errors import IncompatibleBundle, IndexUnavailable, InvalidRequest
from tusou.indexes.milvus_collection import Collection, named_by
from tusou.indexes.milvus_server import MilvusServer
from tusou.live.operations import Delete, Patch, Upsert
from tusou.live.store import LiveStore
from tusou.retrieval.local import LocalHits, open_bundle


def collections(server: LiteServer, alias: str | None) -> list[str]:
    names = MilvusServer(server.uri, 5.0).call(lambda client: client.list_collections())
    return sorted(name for name in names if name.startswith(f"{alias}_"))


def test_the_manifest_names_the_collection_that_the_alias_names(
    index: Index, spec: BuildSpec, server: LiteServer, tmp_path: Path
) -> None:
    report = index()
    record = Bundle.open(tmp_path / "bundle").manifest.index.collection
    assert record is not None
    assert record == report.index.collection
    ids = "".join(f"{n}.jpg#zhc#0\n" for n in range(ITEMS))
    assert record.ids_sha256 == sha256(ids.encode()).hexdigest()
    assert (record.uri, record.alias) == (server.uri, spec.collection)
    assert named_by(MilvusServer(server.uri, 5.0), record.alias) == record.name
    assert collections(server, spec.collection) == [record.name]


def test_building_again_does_nothing(index: Index, spec: BuildSpec, server: LiteServer) -> None:
    first = index()
    before = collections(server, spec.collection)
    assert index().version == first.version
    assert collections(server, spec.collection) == before


def test_a_collection_that_is_gone_is_filled_again(
    index: Index, spec: BuildSpec, server: LiteServer
) -> None:
    first = index()
    assert first.index.collection
    other = MilvusServer(server.uri, 5.0)
    other.call(lambda client: client.drop_alias(spec.collection, timeout=5))
    Collection(other, first.index.collection.name).drop()
    second = index()
    assert (second.version, second.encoded) == (first.version, 0)
    assert named_by(other, str(spec.collection)) == first.index.collection.name


def test_the_version_before_keeps_its_collection_and_older_ones_are_dropped(
    index: Index, spec: BuildSpec, server: LiteServer, tmp_path: Path
) -> None:
    names = []
    for count in (ITEMS, ITEMS + 1, ITEMS + 2):
        write_source(tmp_path, count)
        record = index().index.collection
        assert record
        names.append(record.name)
    assert collections(server, spec.collection) == sorted(names[1:])
    assert named_by(MilvusServer(server.uri, 5.0), str(spec.collection)) == names[-1]


def test_versions_of_the_same_content_share_a_collection(
    index: Index, spec: BuildSpec, server: LiteServer
) -> None:
    first, second, third = (
        index(prompt=prompt) for prompt in (None, "商品：{query}", "图：{query}")
    )
    assert len({first.version, second.version, third.version}) == 3
    assert collections(server, spec.collection) == [third.index.collection.name]


def test_an_incomplete_collection_is_filled_anew(
    index: Index, server: LiteServer, tmp_path: Path
) -> None:
    record = index().index.collection
    assert record
    collection = Collection(MilvusServer(server.uri, 5.0), record.name)
    collection.server.call(lambda client: client.delete(record.name, ids=[3], timeout=5))
    assert collection.count() == ITEMS - 1
    with pytest.raises(IncompatibleBundle, match="holds other items"):
        open_bundle(tmp_path / "bundle")
    index()
    assert collection.count() == ITEMS
    open_bundle(tmp_path / "bundle").close()


def test_a_name_that_is_a_collection_is_refused(
    index: Index, spec: BuildSpec, server: LiteServer
) -> None:
    taken = f"{spec.collection}_taken"
    Collection(MilvusServer(server.uri, 5.0), taken).create(4, [], "0" * 64)
    with pytest.raises(InvalidRequest, match=f"{taken} is a collection of Milvus"):
        index(collection=taken)


@pytest.mark.parametrize(
    "changes",
    [
        {"index": "Flat"},
        {"milvus_uri": None, "collection": None},
    ],
)
def test_the_three_options_belong_together(index: Index, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match=r"--index milvus, --milvus-uri .* and --collection"):
        index(**changes)


@pytest.mark.parametrize("name", ["1st", "商品", "a b", "a;b", "", None, "x" * 300])
def test_a_name_that_milvus_does_not_accept_is_refused(index: Index, name: str | None) -> None:
    with pytest.raises(InvalidRequest, match="--collection is a name of letters"):
        index(collection=name)


@pytest.mark.parametrize("uri", ["", "127.0.0.1:19530", None, "./milvus.db", "http://h:port"])
def test_an_address_that_is_none_is_refused(index: Index, uri: str | None) -> None:
    with pytest.raises(InvalidRequest, match=r"is written like http://127.0.0.1:19530"):
        index(milvus_uri=uri)


def test_a_server_that_is_not_there_is_named_without_its_password(index: Index) -> None:
    with pytest.raises(IndexUnavailable, match=r"at http://127.0.0.1:9 does not answer") as caught:
        index(milvus_uri="http://root:secret@127.0.0.1:9")
    assert "secret" not in str(caught.value)


def test_a_password_is_not_in_the_bundle(index: Index, server: LiteServer, tmp_path: Path) -> None:
    index(milvus_uri=server.uri.replace("//", "//root:secret@"))
    for path in (tmp_path / "bundle").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()


def test_live_changes_go_into_the_collection_of_the_next_version(
    index: Index, spec: BuildSpec, server: LiteServer, tmp_path: Path
) -> None:
    first = index().index.collection
    root = tmp_path / "bundle"
    bundle = Bundle.open(root)
    store = LiveStore(root, bundle)
    vector = bundle.vector_file.rows([3])[0]
    model = bundle.manifest.model.sha256
    store.change(
        Upsert("新款#0", "新款连衣裙".encode(), vector, model, {"price": 1.5, "category": '"新"'}),
        Patch("5.jpg#zhc#0", {"price": 999.0}),
        Delete("0.jpg#zhc#0"),
    )
    store.close()
    report = compact(root)
    second = report.index.collection
    assert first
    assert second
    assert (report.items, report.added, report.removed) == (ITEMS, 1, 1)
    assert named_by(MilvusServer(server.uri, 5.0), second.alias) == second.name != first.name
    with open_bundle(root) as search:
        for chosen, ids in (
            ({"category": '"新"'}, ("新款#0",)),
            ({"price": {"$gt": 99}}, ("5.jpg#zhc#0",)),
            ({"price": 0}, ()),
        ):
            hits = search.search("连衣裙", filter=chosen)
            assert isinstance(hits, LocalHits)
            assert hits.item_ids == ids
