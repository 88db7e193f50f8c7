"""Hostile requests, each with the response it must get; for tests and a benchmark."""

import gzip
from dataclasses import dataclass

JSON = "application/json"
FORM = "multipart/form-data; boundary=x"


@dataclass(frozen=True, slots=True)
class HostileRequest:
    """One request, and the response it must get; `code` is empty for 200."""

    name: str
    body: bytes
    status: int
    code: str
    content_type: str | None = JSON
    content_encoding: str | None = None
    path: str = "/search"


def _top_k(value: bytes) -> bytes:
    return b'{"query":"\xe8\xa3\x99","top_k":' + value + b"}"


def _query(value: bytes) -> bytes:
    return b'{"query":"' + value + b'"}'


def _image(value: bytes) -> bytes:
    return b'{"image":"' + value + b'"}'


def _part(headers: bytes, data: bytes) -> bytes:
    return b"--x\r\n" + headers + b"\r\n\r\n" + data + b"\r\n--x--\r\n"


# The 35 bodies of the published comparison: FastAPI's defaults answer ten of them with a 500.
PUBLISHED_REQUESTS = (
    HostileRequest("query NaN", b'{"query":NaN}', 422, "invalid_request"),
    HostileRequest("top_k Infinity", _top_k(b"Infinity"), 422, "invalid_request"),
    HostileRequest("top_k NaN", _top_k(b"NaN"), 422, "invalid_request"),
    HostileRequest("top_k 1e999", _top_k(b"1e999"), 422, "invalid_request"),
    HostileRequest("lone surrogate", _query(rb"\ud800"), 400, "invalid_json"),
    HostileRequest("top_k surrogate", _top_k(rb'"\ud800"'), 400, "invalid_json"),
    HostileRequest("100 surrogates", _query(rb"\ud800" * 100), 400, "invalid_json"),
    HostileRequest("surrogate in a wrong field", rb'{"wrong":"\ud800"}', 400, "invalid_json"),
    HostileRequest("NUL escape", _query(rb"a\u0000b"), 200, ""),
    HostileRequest("raw NUL", _query(b"a\x00b"), 400, "invalid_json"),
    HostileRequest("FF FE", b"\xff\xfe", 400, "invalid_json"),
    HostileRequest("UTF-16", '{"query":"裙"}'.encode("utf-16"), 400, "invalid_json"),
    HostileRequest("UTF-8 BOM", b'\xef\xbb\xbf{"query":"a"}', 400, "invalid_json"),
    HostileRequest("100k nested arrays", b"[" * 100_000, 413, "body_too_large"),
    HostileRequest("100k nested objects", b'{"a":' * 100_000, 413, "body_too_large"),
    HostileRequest("5,000-digit int", _top_k(b"9" * 5000), 422, "invalid_request"),
    HostileRequest("4,000-digit int", _top_k(b"9" * 4000), 422, "invalid_request"),
    HostileRequest("10 MB query", _query(b"a" * 10_000_000), 413, "body_too_large"),
    HostileRequest("50 MB garbage", b"\x80" * 50_000_000, 413, "body_too_large"),
    HostileRequest("binary, no type", bytes(range(256)), 415, "unsupported_media_type", None),
    HostileRequest(
        "binary, octet-stream",
        bytes(range(256)),
        415,
        "unsupported_media_type",
        "application/octet-stream",
    ),
    HostileRequest("JSON as text", _query(b"a"), 415, "unsupported_media_type", "text/plain"),
    HostileRequest("empty", b"", 400, "invalid_json"),
    HostileRequest("array", b"[]", 422, "invalid_request"),
    HostileRequest("null", b"null", 422, "invalid_request"),
    HostileRequest("top_k true", _top_k(b"true"), 422, "invalid_request"),
    HostileRequest("top_k 1.0", _top_k(b"1.0"), 422, "invalid_request"),
    HostileRequest('top_k "10"', _top_k(b'"10"'), 422, "invalid_request"),
    HostileRequest("duplicate key", b'{"query":"a","query":"b"}', 200, ""),
    HostileRequest(
        "1M strings", b'{"query":[' + b'"a",' * 1_000_000 + b'"a"]}', 413, "body_too_large"
    ),
    HostileRequest(
        "multipart, no boundary", b"--x\r\n", 415, "unsupported_media_type", "multipart/form-data"
    ),
    HostileRequest("broken multipart", b"--x\r\nno", 415, "unsupported_media_type", FORM),
    HostileRequest(
        "multipart, bad filename",
        _part(b'Content-Disposition: form-data; name="f"; filename="\xff"', b"a"),
        415,
        "unsupported_media_type",
        FORM,
    ),
    HostileRequest(
        "multipart, binary field",
        _part(b'Content-Disposition: form-data; name="query"', bytes(range(256))),
        415,
        "unsupported_media_type",
        FORM,
    ),
    HostileRequest(
        "gzip", gzip.compress(_query(b"a")), 415, "unsupported_media_type", content_encoding="gzip"
    ),
)

MORE_REQUESTS = (
    HostileRequest("CESU surrogate", _query(b"\xed\xa0\x80"), 400, "invalid_json"),
    HostileRequest("2^70", _top_k(b"1180591620717411303424"), 422, "invalid_request"),
    HostileRequest("trailing garbage", _query(b"a") + b"x", 400, "invalid_json"),
    HostileRequest("extra field", b'{"query":"a","image_url":"http://a/"}', 422, "invalid_request"),
    HostileRequest(
        "depth 2,000", b'{"query":' + b"[" * 2000 + b"]" * 2000 + b"}", 400, "invalid_json"
    ),
    HostileRequest("surrogate in a key", rb'{"\ud800":1}', 400, "invalid_json"),
    HostileRequest("top_k -0", _top_k(b"-0"), 422, "invalid_request"),
    HostileRequest("top_k 1E400", _top_k(b"1E400"), 422, "invalid_request"),
    HostileRequest("bidi override", _query(rb"\u202e"), 422, "empty_query"),
    HostileRequest("10^5 combining marks", _query(b"\xcc\x81" * 100_000), 413, "body_too_large"),
    HostileRequest("500 combining marks", _query(b"a" + b"\xcc\x81" * 500), 200, ""),
    HostileRequest("513 characters", _query("裙".encode() * 513), 422, "query_too_long"),
    HostileRequest("512 characters", _query("裙".encode() * 512), 200, ""),
    HostileRequest("512 astral characters", _query("𠮷".encode() * 512), 200, ""),
    HostileRequest("513 astral characters", _query("𠮷".encode() * 513), 422, "query_too_long"),
    HostileRequest("controls alone", _query(rb"\u0001\u0085 "), 422, "empty_query"),
    HostileRequest("top_k 0", _top_k(b"0"), 422, "invalid_request"),
    HostileRequest("top_k 1001", _top_k(b"1001"), 422, "invalid_request"),
    HostileRequest("no query", b'{"top_k":1}', 422, "invalid_request"),
    HostileRequest("bad syntax and a huge int", _top_k(b"9" * 5000) + b"x", 422, "invalid_request"),
    HostileRequest(
        "a huge int after bad syntax", b'{"a":x,"b":' + b"9" * 5000, 400, "invalid_json"
    ),
    HostileRequest(
        "UTF-16 declared", b"{}", 415, "unsupported_media_type", f"{JSON}; charset=utf-16"
    ),
    HostileRequest(
        "7,000 unknown keys",
        b"{" + b",".join(b'"%d":1' % n for n in range(7000)) + b"}",
        422,
        "invalid_request",
    ),
    HostileRequest(
        "20 unknown Chinese keys",
        b"{" + b",".join(b'"%s%d":1' % ("裙".encode() * 99, n) for n in range(20)) + b"}",
        422,
        "invalid_request",
    ),
    HostileRequest(
        "half a million numbers",
        b'{"queries":[' + b"1," * 520_000 + b"1]}",
        422,
        "invalid_request",
        path="/search/batch",
    ),
    HostileRequest(
        "95,000 unknown keys",
        b"{" + b",".join(b'"%d":1' % n for n in range(95_000)) + b"}",
        422,
        "invalid_request",
        path="/search/batch",
    ),
    HostileRequest(
        "10 MB of arrays behind an image",
        b'{"image":"AAAA","x":' + b"[" * 10_000_000,
        413,
        "body_too_large",
    ),
    HostileRequest("10 MB of images", b'{"image":"A",' * 770_000, 413, "body_too_large"),
    HostileRequest("10 MB that is not an image", _image(b"A" * 10_000_000), 422, "bad_image"),
    HostileRequest("10 MB of escapes", _image(rb"\u0041" * 1_700_000), 413, "body_too_large"),
    HostileRequest("image of 60 MB", _image(b"A" * 60_000_000), 413, "body_too_large"),
    HostileRequest("no base64", _image("图".encode() * 9), 422, "bad_image"),
    HostileRequest("no queries", b'{"queries":[]}', 422, "invalid_request", path="/search/batch"),
    HostileRequest(
        "257 queries",
        b'{"queries":[' + b'"a",' * 256 + b'"a"]}',
        422,
        "invalid_request",
        path="/search/batch",
    ),
)
