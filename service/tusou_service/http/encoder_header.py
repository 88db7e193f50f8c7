"""The header that names what encodes the texts of a query: the teacher or a student."""

from collections.abc import Mapping, Sequence

from tusou.core.errors import ErrorDetail, InvalidRequest
from tusou_service.engine.engine import SearchEngine

ENCODER_HEADER = "x-query-encoder"
_KINDS = ("teacher", "student")


def with_encoder(
    headers: Mapping[str, str], chosen: SearchEngine, others: Sequence[SearchEngine]
) -> SearchEngine:
    """Return the engine whose queries are encoded as the headers say: the chosen one if it fits.

    Raises InvalidRequest where no engine that answers clients has this encoder.
    """
    requested = headers.get(ENCODER_HEADER)
    if requested is None:
        return chosen
    for engine in (chosen, *others):
        if engine.query_encoder == requested:
            return engine
    if requested in _KINDS:
        message = (
            f"No {requested} encodes queries here: serve one with TUSOU_QUERY_ENCODER, or beside "
            "it with TUSOU_AB_QUERY_ENCODER; or leave X-Query-Encoder out."
        )
    else:
        message = f"X-Query-Encoder is {' or '.join(_KINDS)}."
    raise InvalidRequest(details=[ErrorDetail(("header", "X-Query-Encoder"), "unknown", message)])
