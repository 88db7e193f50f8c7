"""Bodies that break services, and what each must be answered; for the tests and the benchmark."""

import gzip
from dataclasses import dataclass

JSON = "application/json"
FORM = "multipart/form-data; boundary=x"


@dataclass(frozen=True, slots=True)
class Hostile:
    """One request to /search, and the answer it must get (`code` is empty for 200)."""

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


# The 35 of the published comparison: FastAPI's defaults answer ten of them with a 500.
APPENDIX = (
    Hostile("query NaN", b'{"query":NaN}', 422, "invalid_request"),
    Hostile("top_k Infinity", _top_k(b"Infinity"), 422, "invalid_request"),
    Hostile("top_k NaN", _top_k(b"NaN"), 422, "invalid_request"),
    Hostile("top_k 1e999", _top_k(b"1e999"), 422, "invalid_request"),
    Hostile("lone surrogate", _query(rb"\ud800"), 400, "invalid_json"),
    Hostile("top_k surrogate", _top_k(rb'"\ud800"'), 400, "invalid_json"),
    Hostile("100 surrogates", _query(rb"\ud800" * 100), 400, "invalid_json"),
    Hostile("surrogate in a wrong field", rb'{"wrong":"\ud800"}', 400, "invalid_json"),
    Hostile("NUL escape", _query(rb"a\u0000b"), 200, ""),
    Hostile("raw NUL", _query(b"a\x00b"), 400, "invalid_json"),
    Hostile("FF FE", b"\xff\xfe", 400, "invalid_json"),
    Hostile("UTF-16", '{"query":"裙"}'.encode("utf-16"), 400, "invalid_json"),
    Hostile("UTF-8 BOM", b'\xef\xbb\xbf{"query":"a"}', 400, "invalid_json"),
    Hostile("100k nested arrays", b"[" * 100_000, 413, "body_too_large"),
    Hostile("100k nested objects", b'{"a":' * 100_000, 413, "body_too_large"),
    Hostile("5,000-digit int", _top_k(b"9" * 5000), 422, "invalid_request"),
    Hostile("4,000-digit int", _top_k(b"9" * 4000), 422, "invalid_request"),
    Hostile("10 MB query", _query(b"a" * 10_000_000), 413, "body_too_large"),
    Hostile("50 MB garbage", b"\x80" * 50_000_000, 413, "body_too_large"),
    Hostile("binary, no type", bytes(range(256)), 415, "unsupported_media_type", None),
    Hostile(
        "binary, octet-stream",
        bytes(range(256)),
        415,
        "unsupported_media_type",
        "application/octet-stream",
    ),
    Hostile("JSON as text", _query(b"a"), 415, "unsupported_media_type", "text/plain"),
    Hostile("empty", b"", 400, "invalid_json"),
    Hostile("array", b"[]", 422, "invalid_request"),
    Hostile("null", b"null", 422, "invalid_request"),
    Hostile("top_k true", _top_k(b"true"), 422, "invalid_request"),
    Hostile("top_k 1.0", _top_k(b"1.0"), 422, "invalid_request"),
    Hostile('top_k "10"', _top_k(b'"10"'), 422, "invalid_request"),
    Hostile("duplicate key", b'{"query":"a","query":"b"}', 200, ""),
    Hostile("1M strings", b'{"query":[' + b'"a",' * 1_000_000 + b'"a"]}', 413, "body_too_large"),
    Hostile(
        "multipart, no boundary", b"--x\r\n", 415, "unsupported_media_type", "multipart/form-data"
    ),
    Hostile("broken multipart", b"--x\r\nno", 415, "unsupported_media_type", FORM),
    Hostile(
        "multipart, bad filename",
        _part(b'Content-Disposition: form-data; name="f"; filename="\xff"', b"a"),
        415,
        "unsupported_media_type",
        FORM,
    ),
    Hostile(
        "multipart, binary field",
        _part(b'Content-Disposition: form-data; name="query"', bytes(range(256))),
        415,
        "unsupported_media_type",
        FORM,
    ),
    Hostile(
        "gzip", gzip.compress(_query(b"a")), 415, "unsupported_media_type", content_encoding="gzip"
    ),
)

MORE = (
    Hostile("CESU surrogate", _query(b"\xed\xa0\x80"), 400, "invalid_json"),
    Hostile("2^70", _top_k(b"1180591620717411303424"), 422, "invalid_request"),
    Hostile("trailing garbage", _query(b"a") + b"x", 400, "invalid_json"),
    Hostile("extra field", b'{"query":"a","image_url":"http://a/"}', 422, "invalid_request"),
    Hostile("depth 2,000", b'{"query":' + b"[" * 2000 + b"]" * 2000 + b"}", 400, "invalid_json"),
    Hostile("surrogate in a key", rb'{"\ud800":1}', 400, "invalid_json"),
    Hostile("top_k -0", _top_k(b"-0"), 422, "invalid_request"),
    Hostile("top_k 1E400", _top_k(b"1E400"), 422, "invalid_request"),
    Hostile("bidi override", _query(rb"\u202e"), 422, "empty_query"),
    Hostile("10^5 combining marks", _query(b"\xcc\x81" * 100_000), 413, "body_too_large"),
    Hostile("500 combining marks", _query(b"a" + b"\xcc\x81" * 500), 200, ""),
    Hostile("513 characters", _query("裙".encode() * 513), 422, "query_too_long"),
    Hostile("512 characters", _query("裙".encode() * 512), 200, ""),
    Hostile("512 astral characters", _query("𠮷".encode() * 512), 200, ""),
    Hostile("513 astral characters", _query("𠮷".encode() * 513), 422, "query_too_long"),
    Hostile("controls alone", _query(rb"\u0001\u0085 "), 422, "empty_query"),
    Hostile("top_k 0", _top_k(b"0"), 422, "invalid_request"),
    Hostile("top_k 1001", _top_k(b"1001"), 422, "invalid_request"),
    Hostile("no query", b'{"top_k":1}', 422, "invalid_request"),
    Hostile("bad syntax and a huge int", _top_k(b"9" * 5000) + b"x", 422, "invalid_request"),
    Hostile("a huge int after bad syntax", b'{"a":x,"b":' + b"9" * 5000, 400, "invalid_json"),
    Hostile("UTF-16 declared", b"{}", 415, "unsupported_media_type", f"{JSON}; charset=utf-16"),
    Hostile(
        "7,000 unknown keys",
        b"{" + b",".join(b'"%d":1' % n for n in range(7000)) + b"}",
        422,
        "invalid_request",
    ),
    Hostile(
        "20 unknown Chinese keys",
        b"{" + b",".join(b'"%s%d":1' % ("裙".encode() * 99, n) for n in range(20)) + b"}",
        422,
        "invalid_request",
    ),
    Hostile(
        "half a million numbers",
        b'{"queries":[' + b"1," * 520_000 + b"1]}",
        422,
        "invalid_request",
        path="/search/batch",
    ),
    Hostile(
        "95,000 unknown keys",
        b"{" + b",".join(b'"%d":1' % n for n in range(95_000)) + b"}",
        422,
        "invalid_request",
        path="/search/batch",
    ),
    Hostile(
        "10 MB of arrays behind an image",
        b'{"image":"AAAA","x":' + b"[" * 10_000_000,
        413,
        "body_too_large",
    ),
    Hostile("10 MB of images", b'{"image":"A",' * 770_000, 413, "body_too_large"),
    Hostile("10 MB that is no image", _image(b"A" * 10_000_000), 422, "bad_image"),
    Hostile("10 MB of escapes", _image(rb"\u0041" * 1_700_000), 413, "body_too_large"),
    Hostile("image of 60 MB", _image(b"A" * 60_000_000), 413, "body_too_large"),
    Hostile("no base64", _image("图".encode() * 9), 422, "bad_image"),
    Hostile("no queries", b'{"queries":[]}', 422, "invalid_request", path="/search/batch"),
    Hostile(
        "257 queries",
        b'{"queries":[' + b'"a",' * 256 + b'"a"]}',
        422,
        "invalid_request",
        path="/search/batch",
    ),
)
