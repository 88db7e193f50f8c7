"""The header that names what encodes the texts of a query: the teacher or a student."""

from collections.abc import Mapping, Sequence
from typing import get_args

from tusou.core.errors import ErrorDetail, InvalidRequest
from tusou_service.engine.engine import SearchEngine
from tusou_service.engine.interfaces import EncoderKind

ENCODER_HEADER = "x-query-encoder"
_KINDS: tuple[str, ...] = get_args(EncoderKind)


def with_encoder(headers: Mapping[str, str], engines: Sequence[SearchEngine]) -> SearchEngine:
    """Return the first engine whose queries are encoded as the headers say.

    Raises InvalidRequest where none of these engines has this encoder.
    """
    requested = headers.get(ENCODER_HEADER)
    if requested is None:
        return engines[0]
    for engine in engines:
        if engine.query_encoder == requested:
            return engine
    if requested in _KINDS:
        message = (
            f"No {requested} encodes queries here: serve one with TUSOU_QUERY_ENCODER, or beside "
            "it with TUSOU_AB_QUERY_ENCODER; or leave X-Query-Encoder out. A request with X-Arm "
            "is answered by that arm alone."
        )
    else:
        message = f"X-Query-Encoder is {' or '.join(_KINDS)}."
    raise InvalidRequest(details=[ErrorDetail(("header", "X-Query-Encoder"), "unknown", message)])
