"""The service's HTTP contract without any I/O: what to send, and what an answer means."""

import json
import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypedDict, TypeVar
from urllib.parse import urlsplit

from tusou.core.hits import Hits
from tusou_client.errors import (
    BadReply,
    ClientError,
    ServiceError,
    TimedOut,
    Unreachable,
    UsageError,
)

DEFAULT_URL = "http://127.0.0.1:8000"
# The service refuses a longer X-Request-Timeout-Ms.
MAX_TIMEOUT_MS = 30_000
# The longest right answer, 256 queries of 1,000 items, has about 10 MB.
MAX_REPLY_BYTES = 64 * 2**20
# Statuses below 500 that another try can mend: request timeout, too early, rate limited.
_TRANSIENT = frozenset({408, 425, 429})

T = TypeVar("T")


class SearchOptions(TypedDict, total=False):
    """What a search may say beside its text; see the service's docs/api.md."""

    image: bytes  # a JPEG, PNG or WebP file
    item_id: int | str
    negative: str
    negative_item_id: int | str
    query_weight: float
    image_weight: float
    item_weight: float
    negative_weight: float
    offset: int
    exclude: list[int | str]
    interpret: bool
    index_version: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP."""

    status: int
    body: bytes
    retry_after: str | None = None  # the header, as sent


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and how to read what answers it."""

    method: str
    path: str
    body: bytes | None
    parse: Callable[[object], T]

    def read(self, reply: Reply, url: str) -> T:
        """Return what the call is for, or raise BadReply or ServiceError."""
        if not 200 <= reply.status < 300:
            raise _refusal(reply, url)
        try:
            return self.parse(json.loads(reply.body, parse_constant=_no_constant))
        except (ValueError, OverflowError, RecursionError) as error:
            raise BadReply(
                f"{url}{self.path} did not answer as a Tusou service does: {error}. Is --url the "
                "address of `tusou serve`, and are client and service of one version?"
            ) from None


def search(query: str | None, top_k: int, more: SearchOptions | None = None) -> Call[Hits]:
    """Ask for one query's best items."""

    def parse(answer: object) -> Hits:
        fields = _fields(answer)
        positive, negative = _understood(fields)
        changed = fields.get("version_changed") is True
        found = _hits(fields, top_k, _version(fields))
        return replace(found, positive=positive, negative=negative, version_changed=changed)

    body: dict[str, object] = {} if query is None else {"query": query}
    body |= {"top_k": top_k, **(more or {})}
    if more and "image" in more:
        body["image"] = b64encode(more["image"]).decode()
    return Call("POST", "/search", _json(body), parse)


def search_batch(queries: Sequence[str], top_k: int) -> Call[list[Hits]]:
    """Ask for several queries' best items, all from one index version."""

    def parse(answer: object) -> list[Hits]:
        fields = _fields(answer)
        results = fields.get("results")
        if not isinstance(results, list):
            raise ValueError("`results` is not a list")
        if len(results) != len(queries):
            raise ValueError(f"{len(results)} results for {len(queries)} queries")
        version = _version(fields)
        return [_hits(_fields(result), top_k, version) for result in results]

    body = _json({"queries": list(queries), "top_k": top_k})
    return Call("POST", "/search/batch", body, parse)


def info() -> Call[dict[str, object]]:
    """Ask what the service serves."""
    return Call("GET", "/info", None, _fields)


def ready() -> Call[None]:
    """Ask whether the service is ready to answer; only the status matters."""
    return Call("GET", "/readyz", None, lambda _: None)


def check_url(url: str) -> str:
    """Return the service's address without a trailing slash, or raise Misuse."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(f"{url!r} is not a service's address; write it like {DEFAULT_URL}")
    return url.rstrip("/")


def headers(api_key: str | None, user_key: str | None = None) -> dict[str, str]:
    """Return the headers every request carries."""
    common = {"Accept": "application/json", "User-Agent": "tusou-client"}
    if user_key is not None:
        if not user_key or not all("!" <= char <= "~" for char in user_key):
            raise UsageError(
                "A user key is printable ASCII without spaces, such as a hash of a name."
            )
        common["X-User-Key"] = user_key
    if api_key is None:
        return common
    if not api_key or not all("!" <= char <= "~" for char in api_key):
        raise UsageError("An API key is printable ASCII without spaces; check the key or its file.")
    return common | {"Authorization": f"Bearer {api_key}"}


def timeout_header(timeout: float) -> dict[str, str]:
    """Tell the service how long we wait, so that it drops work nobody reads."""
    return {"X-Request-Timeout-Ms": str(max(1, min(round(timeout * 1000), MAX_TIMEOUT_MS)))}


def within_limit(part: bytes, before: int) -> bytes:
    """Return a part of a reply, or raise BadReply when the reply has grown beyond all reason."""
    if before + len(part) > MAX_REPLY_BYTES:
        raise BadReply(
            f"The answer has more than {MAX_REPLY_BYTES} bytes; is that a Tusou service?"
        )
    return part


def unreachable(url: str, reason: Exception) -> ClientError:
    """Return the error for a connection that failed."""
    said = str(reason) or type(reason).__name__
    return Unreachable(f"No answer from {url} ({said}). Is `tusou serve` running there?")


def timed_out(url: str, timeout: float) -> ClientError:
    """Return the error for an answer that did not come in time."""
    return TimedOut(f"{url} did not answer within {timeout:.3g} s; it may be overloaded.")


def _json(value: object) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise UsageError(
            "A query holds half of a surrogate pair, which is not Unicode text."
        ) from None


def _refusal(reply: Reply, url: str) -> ServiceError:
    problem = _problem(reply.body)
    code, detail, request_id = (problem.get(key) for key in ("code", "detail", "request_id"))
    said = detail if isinstance(detail, str) else f"HTTP status {reply.status}"
    request = f" [request {request_id}]" if isinstance(request_id, str) else ""
    foreign = not isinstance(code, str)
    return ServiceError(
        f"{url} answered: {said}{request}{_advice(reply.status, foreign=foreign)}",
        status=reply.status,
        code=code if isinstance(code, str) else f"http_{reply.status}",
        detail=said,
        transient=reply.status >= 500 or reply.status in _TRANSIENT,
        retry_after=_retry_after(problem, reply.retry_after),
    )


def _advice(status: int, *, foreign: bool) -> str:
    if status in (401, 403):
        return " Give the service's API key (--api-key-file, or `api_key=` in Python)."
    if 300 <= status < 400:
        return " Redirects are not followed: give the final address."
    if status == 404 and foreign:
        return " Is that the address of a Tusou service?"
    return ""


def _problem(body: bytes) -> dict[str, object]:
    try:
        return _fields(json.loads(body))
    except (ValueError, RecursionError):
        return {}


def _retry_after(problem: dict[str, object], header: str | None) -> float | None:
    """Read the wait in seconds; the body's milliseconds are finer than the header's seconds."""
    wait_ms = problem.get("retry_after_ms")
    if isinstance(wait_ms, int | float) and 0 <= wait_ms < 1e9:
        return wait_ms / 1000
    # The header may also hold a date; reading that needs the wall clock, which jumps.
    return float(header) if header and header.isascii() and header.isdigit() else None


def _fields(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _version(fields: dict[str, object]) -> str:
    version = fields.get("index_version")
    if not isinstance(version, str) or not version:
        raise ValueError("`index_version` is missing")
    return version


def _understood(fields: dict[str, object]) -> tuple[str | None, str | None]:
    if "interpreted" not in fields:
        return None, None
    said = _fields(fields["interpreted"])
    positive, negative = said.get("positive"), said.get("negative")
    if not isinstance(positive, str) or not isinstance(negative, str):
        raise ValueError("`interpreted` is not what was wanted and what was refused")
    return positive, negative


def _hits(fields: dict[str, object], top_k: int, version: str) -> Hits:
    ids, scores, truncated = (fields.get(key) for key in ("item_ids", "scores", "truncated"))
    if not isinstance(ids, list) or not all(_is_id(item) for item in ids):
        raise ValueError("`item_ids` is not a list of integers or strings")
    if not isinstance(scores, list) or not all(_is_score(score) for score in scores):
        raise ValueError("`scores` is not a list of finite numbers")
    if len(ids) != len(scores) or len(ids) > top_k:
        raise ValueError(f"{len(ids)} ids and {len(scores)} scores where {top_k} were asked for")
    if len(set(ids)) != len(ids):
        raise ValueError("an item appears twice in one answer")
    "".join(map(str, ids)).encode()  # UnicodeEncodeError: half a surrogate pair is no id
    if not isinstance(truncated, bool):
        raise ValueError("`truncated` is not true or false")
    return Hits(tuple(ids), tuple(map(float, scores)), truncated, version)


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_score(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
