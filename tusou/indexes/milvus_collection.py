"""Collections of a Milvus server: their schema, their rows, and the alias that names the current.

A row has its row key, the item's id, its vector, whether it is the item's current one, and a field
for each attribute. The rows of a version's items have the keys from 0 on; they stay as long as the
collection. Live changes add rows of their own (see `milvus_changes`). A property of the collection
says which ids its version has.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from pymilvus import DataType, MilvusClient

from tusou.attributes.schema import Attributes, AttributeType
from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import InvalidRequest
from tusou.indexes.milvus_columns import MAX_LIST, MAX_TEXT_BYTES, MilvusColumn
from tusou.indexes.milvus_server import MilvusServer, NotLoaded

T = TypeVar("T")
Row: TypeAlias = dict[str, Any]  # the values of a row, by field

KEY, ITEM_ID, VECTOR = "row_key", "item_id", "vector"
# 1; 0 for the row of a version's item that a live change has removed or replaced.
CURRENT = "current"
CONSISTENCY = "Strong"  # a search sees every change acknowledged before it

_IDS_PROPERTY = "tusou.item_ids_sha256"
# The rows of live changes have this key and those above it.
FIRST_LIVE_KEY = 2**62

_BATCH_ROWS = 1_000
_BATCH_BYTES = 8 * 2**20  # of vectors; Milvus takes messages of 64 MiB
_OPEN_SECONDS = 10.0
_WRITE_SECONDS = 60.0
_LOAD_SECONDS = 600.0
_COUNT = "count(*)"

_FIELD_TYPES: Mapping[AttributeType, Mapping[str, Any]] = {
    "string": {"datatype": DataType.VARCHAR, "max_length": MAX_TEXT_BYTES},
    "strings": {
        "datatype": DataType.ARRAY,
        "element_type": DataType.VARCHAR,
        "max_length": MAX_TEXT_BYTES,
        "max_capacity": MAX_LIST,
    },
    "integer": {"datatype": DataType.INT64},
    "number": {"datatype": DataType.DOUBLE},
    "boolean": {"datatype": DataType.INT8},
    "date": {"datatype": DataType.INT64},
}


class Collection:
    """One collection of a server, by its name; it need not exist yet."""

    def __init__(self, server: MilvusServer, name: str) -> None:
        self.server, self.name = server, name

    @property
    def available(self) -> bool:
        """Return whether searches are tried: False after failures in a row."""
        return not self.server.breaker.is_open

    def ping(self) -> None:
        """Raise IndexUnavailable unless the collection can be searched."""
        self.ask(
            lambda client: client.query(
                self.name,
                filter=f"{KEY} == 0",
                output_fields=[KEY],
                consistency_level=CONSISTENCY,
                timeout=self.server.seconds,
            ),
            probe=True,
        )

    def ask(self, ask: Callable[[MilvusClient], T], *, probe: bool = False) -> T:
        """Return what `ask` does with the client, as `MilvusServer.call`, on the loaded collection.

        Not every server loads its collections when it starts again.
        """
        try:
            return self.server.call(ask, probe=probe)
        except NotLoaded:
            seconds = self.server.seconds
            self.server.call(
                lambda client: client.load_collection(self.name, timeout=seconds), probe=True
            )
            return self.server.call(ask, probe=probe)

    def exists(self) -> bool:
        return bool(
            self.server.call(lambda client: client.has_collection(self.name, timeout=_OPEN_SECONDS))
        )

    def create(self, dim: int, columns: Sequence[MilvusColumn], ids_sha256: str) -> None:
        """Create the collection, empty, in place of one of the same name."""
        self.drop()
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(KEY, DataType.INT64, is_primary=True)
        schema.add_field(ITEM_ID, DataType.VARCHAR, max_length=MAX_TEXT_BYTES)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dim)
        schema.add_field(CURRENT, DataType.INT8)
        for column in columns:
            schema.add_field(column.field, **_FIELD_TYPES[column.type])
        indexes = MilvusClient.prepare_index_params()
        indexes.add_index(VECTOR, index_type="FLAT", metric_type="IP")
        self.server.call(
            lambda client: client.create_collection(
                self.name,
                schema=schema,
                index_params=indexes,
                consistency_level=CONSISTENCY,
                properties={_IDS_PROPERTY: ids_sha256},
                timeout=_LOAD_SECONDS,
            )
        )

    def insert(
        self,
        columns: Sequence[MilvusColumn],
        keys: Ids,
        vectors: Vectors,
        item_ids: Sequence[str],
        attributes: Sequence[Attributes],
    ) -> None:
        """Add rows, whose keys are new; all arguments but `columns` are parallel."""
        rows = [
            {
                KEY: key,
                ITEM_ID: item_id,
                VECTOR: vector,
                CURRENT: 1,
                **{column.field: column.stored(row.get(column.attribute)) for column in columns},
            }
            for key, item_id, vector, row in zip(
                keys.tolist(), item_ids, vectors, attributes, strict=True
            )
        ]
        size = batch_size(vectors.shape[1])
        for start in range(0, len(rows), size):
            self._insert_rows(rows[start : start + size])

    def _insert_rows(self, rows: list[Row]) -> None:
        self.server.call(lambda client: client.insert(self.name, rows, timeout=_WRITE_SECONDS))

    def upsert(self, rows: list[Row]) -> None:
        """Add rows, or replace those of the same keys, in one call."""
        seconds = self.server.seconds
        self.ask(lambda client: client.upsert(self.name, rows, timeout=seconds))

    def delete(self, expression: str) -> None:
        """Delete the rows that an expression selects."""
        seconds = self.server.seconds
        self.ask(lambda client: client.delete(self.name, filter=expression, timeout=seconds))

    def query(self, expression: str, fields: Sequence[str], limit: int) -> list[Row]:
        """Return fields of at most `limit` rows that an expression selects."""
        seconds = self.server.seconds
        rows = self.ask(
            lambda client: client.query(
                self.name,
                filter=expression,
                output_fields=list(fields),
                limit=limit,
                consistency_level=CONSISTENCY,
                timeout=seconds,
            )
        )
        return [dict(row) for row in rows]

    def seal(self) -> None:
        """Make all rows durable and searchable."""
        self.server.call(lambda client: client.flush(self.name, timeout=_LOAD_SECONDS))
        self.server.call(lambda client: client.load_collection(self.name, timeout=_LOAD_SECONDS))

    def drop(self) -> None:
        """Delete the collection, if there is one."""
        if not self.exists():
            return
        self.server.call(lambda client: client.drop_collection(self.name, timeout=_WRITE_SECONDS))

    def count(self, expression: str = "") -> int:
        """Return the number of rows, or of those that an expression selects."""
        rows = self.ask(
            lambda client: client.query(
                self.name,
                filter=expression,
                output_fields=[_COUNT],
                consistency_level=CONSISTENCY,
                timeout=_WRITE_SECONDS,
            )
        )
        return int(rows[0][_COUNT])

    def holds_keys(self, count: int) -> bool:
        """Return whether the version's rows are those of the row keys below a count."""
        version = self.count(f"{KEY} >= 0 and {KEY} < {FIRST_LIVE_KEY}")
        return version == count == self.count(f"{KEY} >= 0 and {KEY} < {count}")

    def ids_sha256(self) -> str | None:
        """Return the digest of the item ids that the collection was made for."""
        description = self.server.call(
            lambda client: client.describe_collection(self.name, timeout=_OPEN_SECONDS)
        )
        digest = description.get("properties", {}).get(_IDS_PROPERTY)
        return None if digest is None else str(digest)

    def item_ids(self, keys: Ids) -> dict[int, str]:
        """Return the item ids of row keys; those of missing rows are missing."""
        rows = self.ask(
            lambda client: client.query(
                self.name,
                filter=f"{KEY} in {keys.tolist()}",
                output_fields=[KEY, ITEM_ID],
                consistency_level=CONSISTENCY,
                timeout=_WRITE_SECONDS,
            )
        )
        return {int(row[KEY]): str(row[ITEM_ID]) for row in rows}

    def point_alias(self, alias: str) -> None:
        """Let an alias name this collection from now on; InvalidRequest as `named_by`."""
        change = "create_alias" if named_by(self.server, alias) is None else "alter_alias"
        self.server.call(
            lambda client: getattr(client, change)(self.name, alias, timeout=_WRITE_SECONDS)
        )


def named_by(server: MilvusServer, alias: str) -> str | None:
    """Return the collection that an alias names, or None if there is no such alias.

    Raises InvalidRequest if a collection itself has the name.
    """
    if not Collection(server, alias).exists():
        return None
    description = server.call(
        lambda client: client.describe_collection(alias, timeout=_OPEN_SECONDS)
    )
    name = str(description["collection_name"])
    if name == alias:
        raise InvalidRequest(
            f"{alias} is a collection of Milvus at {server.address}, and an alias is needed: give "
            "another name with --collection"
        )
    return name


def batch_size(dim: int) -> int:
    """Return how many rows of a vector's length one call inserts."""
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // (4 * dim)))
