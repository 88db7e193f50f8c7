"""The service's HTTP contract apart from the network: requests, and what their replies mean."""

import json
import math
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Generic, Literal, TypeAlias, TypedDict, TypeVar
from urllib.parse import urlencode, urlsplit

from tusou.core.hits import Hits
from tusou.core.ids import ItemId, is_id
from tusou_client.errors import BadReply, ServiceError, UsageError
from tusou_client.hits_reader import read_attributes, read_hits, read_object
from tusou_client.problem import read_problem, read_query_problem

DEFAULT_URL = "http://127.0.0.1:8000"
# The service refuses a longer X-Request-Timeout-Ms.
MAX_TIMEOUT_MS = 30_000
# The longest valid reply, 32,000 items with long ids, has less than 10 MB.
MAX_REPLY_BYTES = 64 * 2**20
# The service's limits for one request; longer lists are split.
MAX_TEXTS, MAX_IMAGES, MAX_IMAGE_CHARS = 256, 16, 16 * 2**20
MAX_RESULTS = 32_000  # of one batch: queries times top_k times (1 + the number of fields)

T = TypeVar("T")
QueryEncoder: TypeAlias = Literal["teacher", "student"]  # of a service that has both
# The bytes of an image file, or its path.
ImageFile: TypeAlias = bytes | str | PathLike[str]
Vector: TypeAlias = tuple[float, ...]
# The model of one request, and its vectors in order.
Embeddings: TypeAlias = tuple[str, list[Vector]]
# Items as dicts of `item_id` and `attributes`, and the id after which the next page begins.
ItemsPage: TypeAlias = tuple[list[dict[str, object]], ItemId | None]


class BatchOptions(TypedDict, total=False):
    """The fields of a batch beside its texts; see docs/api.md."""

    offset: int
    exclude: list[ItemId]
    interpret: bool
    index_version: str
    filter: Mapping[str, object]  # {"category": "连衣裙", "price": {"$lte": 200}}
    fields: Sequence[str]  # attributes to return with each item
    facets: Sequence[str]  # attributes whose values to count
    distinct: str  # an attribute: only the best item of each of its values
    collapse: Literal["near_duplicates"]
    adjust: bool  # False: without hub correction and feedback
    rerank: bool  # False: without the reranker
    explain: bool  # return the score of each stage
    min_relevance: float  # leave out items of less relevance, 0 to 1


class SearchOptions(BatchOptions, total=False):
    """The fields of a search beside its text; see docs/api.md."""

    image: ImageFile
    item_id: ItemId
    vector: Sequence[float]  # of the index's space, a list or an array
    negative: str
    negative_item_id: ItemId
    query_weight: float
    image_weight: float
    item_weight: float
    vector_weight: float
    negative_weight: float
    like: list[ItemId]  # results that fit
    dislike: list[ItemId]  # results that do not fit


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response."""

    status: int
    body: bytes
    retry_after: str | None = None  # the header, as sent
    etag: str | None = None  # without quotes


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and how to read its reply."""

    method: str
    path: str
    parse: Callable[[bytes], T]
    body: bytes | None = None
    timeout: float | None = None  # seconds for all tries together; None: as the policy says
    if_match: str | None = None  # the ETag that the item must have
    conditional: bool = False  # applied once, it would be refused again

    def read(self, reply: Reply, url: str) -> T:
        """Return the result; raise ServiceError for a refusal, BadReply for a wrong reply."""
        if not 200 <= reply.status < 300:
            raise read_problem(reply.status, reply.body, url, reply.retry_after)
        try:
            return self.parse(reply.body)
        except (ValueError, OverflowError, RecursionError) as error:
            raise BadReply(
                f"{url}{self.path} did not answer as a Tusou service does: {error}. Is --url the "
                "address of `tusou serve`, and are client and service of one version?"
            ) from None


def search(query: str | None, top_k: int, options: SearchOptions | None = None) -> Call[Hits]:
    """Return the call for one query's best items."""

    def parse(data: bytes) -> Hits:
        fields = parse_fields(data)
        return read_hits(fields, top_k, fields)

    body: dict[str, object] = {} if query is None else {"query": query}
    body |= {"top_k": top_k, **(options or {})}
    if options and "image" in options:
        body["image"] = encode_image(options["image"])
    if options and "vector" in options:
        body["vector"] = encode_vector(options["vector"])
    return Call("POST", "/search", parse, encode_json(body))


def search_batches(
    queries: Sequence[str],
    top_k: int,
    options: BatchOptions | None = None,
    *,
    partial: bool = False,
) -> list[Call[list[Hits | ServiceError]]]:
    """Return the calls for several queries' best items, each of as many as the service takes.

    With `partial`, a refused query has its ServiceError in its place.
    """
    fields: dict[str, object] = {"partial": True} if partial else {}
    fields |= options or {}
    size = max_queries(top_k, len((options or {}).get("fields", ())))
    return [
        _search_batch(list(queries[start : start + size]), top_k, fields)
        for start in range(0, len(queries), size)
    ]


def max_queries(top_k: int, fields: int = 0) -> int:
    """Return the number of queries that the service takes in one request."""
    return max(1, min(MAX_TEXTS, MAX_RESULTS // max(1, top_k * (1 + fields))))


def embed_texts(texts: Sequence[str]) -> list[Call[Embeddings]]:
    """Return the calls for the vectors of texts; the service takes 256 in one."""
    starts = range(0, len(texts), MAX_TEXTS)
    return [_embeddings(list(texts[start : start + MAX_TEXTS])) for start in starts]


def embed_images(images: Sequence[ImageFile]) -> list[Call[Embeddings]]:
    """Return the calls for the vectors of images; the service takes 16, or 16 MiB, in one."""
    batches: list[list[str]] = []
    for image in images:
        # The service reads the media type from the bytes and ignores the one of the URI.
        uri = f"data:image/jpeg;base64,{encode_image(image)}"
        fits = batches and len(batches[-1]) < MAX_IMAGES
        if fits and sum(map(len, batches[-1])) + len(uri) <= MAX_IMAGE_CHARS:
            batches[-1].append(uri)
        else:
            batches.append([uri])
    return [_embeddings(batch) for batch in batches]


def items(
    selected: Mapping[str, object] | None,
    fields: Sequence[str],
    limit: int,
    after: ItemId | None = None,
) -> Call[ItemsPage]:
    """Return the call for one page of the items that pass a filter."""

    def parse(data: bytes) -> ItemsPage:
        reply = parse_fields(data)
        rows = reply.get("items")
        if not isinstance(rows, list) or len(rows) > limit:
            raise ValueError(f"`items` is not a list of at most {limit}")
        following = reply.get("next")
        if following is not None and not is_id(following):
            raise ValueError("`next` is not an item's id")
        return [_item(read_object(row)) for row in rows], following

    parameters: dict[str, object] = {"limit": limit, "fields": list(fields)}
    if selected is not None:
        parameters["filter"] = encode_json(selected)
    if after is not None:
        parameters["after"] = after
    return Call("GET", f"/items?{urlencode(parameters, doseq=True)}", parse)


def models() -> Call[list[str]]:
    """Return the call for the names of the service's models."""

    def parse(data: bytes) -> list[str]:
        rows = parse_fields(data).get("data")
        if not isinstance(rows, list):
            raise ValueError("`data` is not a list")
        names = [read_object(row).get("id") for row in rows]
        if not all(isinstance(name, str) for name in names):
            raise ValueError("a model has no `id`")
        return [str(name) for name in names]

    return Call("GET", "/v1/models", parse)


def parse_fields(data: bytes) -> dict[str, object]:
    """Return the JSON object of a reply; ValueError if it is not one."""
    return read_object(json.loads(data, parse_constant=_no_constant))


def check_url(url: str) -> str:
    """Return the service's address without a trailing slash, or raise UsageError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(f"{url!r} is not a service's address; write it like {DEFAULT_URL}")
    return url.rstrip("/")


def headers(
    api_key: str | None,
    user_key: str | None = None,
    query_encoder: QueryEncoder | None = None,
) -> dict[str, str]:
    """Return the headers of every request; UsageError for a key that cannot be a header value."""
    fields = {"Accept": "*/*", "User-Agent": "tusou-client"}
    if user_key is not None:
        _check_key(user_key, "A user key", ", for example the hash of a name")
        fields["X-User-Key"] = user_key
    if query_encoder is not None:
        if query_encoder not in ("teacher", "student"):
            raise UsageError(f"{query_encoder!r} is not a query encoder; give teacher or student.")
        fields["X-Query-Encoder"] = query_encoder
    if api_key is not None:
        _check_key(api_key, "An API key", "; check the key or its file")
        fields["Authorization"] = f"Bearer {api_key}"
    return fields


def entity_tag(etag: str) -> str:
    """Return an ETag as the header If-Match has it; UsageError if it cannot be one."""
    if not etag or not all("!" <= char <= "~" and char != '"' for char in etag.strip('"')):
        raise UsageError("An ETag is printable ASCII without spaces, or *.")
    return etag if etag == "*" else f'"{etag.strip(chr(34))}"'


def within_limit(part: bytes, size: int) -> bytes:
    """Return a part of a reply that already has `size` bytes, or raise BadReply over the limit."""
    if size + len(part) > MAX_REPLY_BYTES:
        raise BadReply(f"The reply has more than {MAX_REPLY_BYTES} bytes; is that a Tusou service?")
    return part


def _item(row: dict[str, object]) -> dict[str, object]:
    if not is_id(row.get("item_id")):
        raise ValueError("`item_id` is not an integer or a string")
    return {"item_id": row["item_id"], "attributes": read_attributes(row.get("attributes", {}))}


def _search_batch(
    queries: list[str], top_k: int, options: dict[str, object]
) -> Call[list[Hits | ServiceError]]:
    def parse(data: bytes) -> list[Hits | ServiceError]:
        fields = parse_fields(data)
        results = map(read_object, read_list(fields, "results", len(queries)))
        return [
            read_query_problem(read_object(result["problem"]))
            if "partial" in options and "problem" in result
            else read_hits(result, top_k, fields)
            for result in results
        ]

    body = encode_json({"queries": queries, "top_k": top_k, **options})
    return Call("POST", "/search/batch", parse, body)


def _embeddings(inputs: list[str]) -> Call[Embeddings]:
    def parse(data: bytes) -> Embeddings:
        fields = parse_fields(data)
        rows = map(read_object, read_list(fields, "data", len(inputs)))
        return str(fields.get("model")), [_vector(row) for row in rows]

    body = encode_json({"input": inputs, "encoding_format": "base64"})
    return Call("POST", "/v1/embeddings", parse, body)


def _vector(fields: dict[str, object]) -> Vector:
    """Read little-endian float32 in base64."""
    encoded = fields.get("embedding")
    if not isinstance(encoded, str):
        raise ValueError("`embedding` is not base64 text")
    data = b64decode(encoded, validate=True)
    if not data or len(data) % 4:
        raise ValueError("`embedding` is not a list of float32")
    vector = struct.unpack(f"<{len(data) // 4}f", data)
    if not all(map(math.isfinite, vector)):
        raise ValueError("`embedding` is not finite")
    return vector


def encode_image(image: ImageFile) -> str:
    """Return an image file in base64; UsageError if it cannot be read."""
    try:
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
    except OSError as error:
        raise UsageError(f"The image {image!r} cannot be read: {error.strerror}.") from None
    return b64encode(data).decode()


def encode_vector(numbers: Sequence[float]) -> str:
    """Return numbers as little-endian float32 in base64; UsageError."""
    try:
        data = struct.pack(f"<{len(numbers)}f", *numbers)
    except (struct.error, OverflowError, TypeError):
        raise UsageError("A vector is a sequence of numbers.") from None
    return b64encode(data).decode()


def encode_json(value: object) -> bytes:
    """Return JSON in UTF-8; UsageError for text that is not Unicode."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise UsageError(
            "A query holds half of a surrogate pair, which is not Unicode text."
        ) from None


def read_list(fields: dict[str, object], name: str, length: int) -> list[object]:
    """Return a list of a reply; ValueError if it has another length."""
    values = fields.get(name)
    if not isinstance(values, list):
        raise ValueError(f"`{name}` is not a list")
    if len(values) != length:
        raise ValueError(f"{len(values)} {name} for {length} inputs")
    return values


def _check_key(key: str, name: str, advice: str) -> None:
    if not key or not all("!" <= char <= "~" for char in key):
        raise UsageError(f"{name} is printable ASCII without spaces{advice}.")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
