"""Problem responses of the service (RFC 9457) as errors that say what to do."""

import json
from collections.abc import Sequence
from contextlib import suppress

from tusou.core.errors import ErrorDetail
from tusou_client.errors import ServiceError

# Statuses below 500 after which another try may succeed: request timeout, too early, rate limited.
_TRANSIENT = frozenset({408, 425, 429})


def read_problem(
    status: int, body: bytes, url: str, retry_after: str | None = None
) -> ServiceError:
    """Return the error of a refused request, sent by the service or by a proxy before it.

    `retry_after` is the header, as sent.
    """
    problem: dict[str, object] = {}
    with suppress(ValueError, RecursionError):  # not from a Tusou service
        value = json.loads(body)
        problem = value if isinstance(value, dict) else {}
    code, detail, request_id = (problem.get(key) for key in ("code", "detail", "request_id"))
    message = detail if isinstance(detail, str) else f"HTTP status {status}"
    request = f" [request {request_id}]" if isinstance(request_id, str) else ""
    foreign = not isinstance(code, str)
    details = _details(problem.get("errors"))
    if status == 403 and details:  # the scope that the key lacks
        message = details[0].detail or message
    sentence = message if status == 403 else _explain(message, details)
    return ServiceError(
        f"{url} answered: {sentence}{request}{_advice(status, foreign=foreign)}",
        status=status,
        code=code if isinstance(code, str) else f"http_{status}",
        detail=message,
        transient=status >= 500 or status in _TRANSIENT,
        retry_after=_retry_after(problem, retry_after),
        request_id=request_id if isinstance(request_id, str) else None,
        errors=details,
    )


def read_query_problem(problem: dict[str, object]) -> ServiceError:
    """Return the error of one query of a batch; ValueError if a field is missing."""
    status, code, detail = (problem.get(key) for key in ("status", "code", "detail"))
    if not isinstance(status, int) or not isinstance(code, str) or not isinstance(detail, str):
        raise ValueError("`problem` has no `status`, `code` and `detail`")
    details = _details(problem.get("errors"))
    message = _explain(detail, details)
    return ServiceError(
        message, status=status, code=code, detail=detail, transient=False, errors=details
    )


def _explain(message: str, details: Sequence[ErrorDetail]) -> str:
    """Return a problem's sentence with its first error in place of the hint to see them."""
    if not details:
        return message
    first = details[0]
    place = ".".join(str(part) for part in first.loc[1:])
    cause = ": ".join(part for part in (place, first.detail or first.type) if part)
    others = f", and {len(details) - 1} more" if len(details) > 1 else ""
    return (
        f"{message.removesuffix('.').removesuffix('; see errors')} ({cause.rstrip('.')}{others})."
    )


def _advice(status: int, *, foreign: bool) -> str:
    if status == 403 and not foreign:
        return " The API key has other scopes: add it to the key's line in the service's key file."
    if status in (401, 403):
        return " Give the service's API key (--api-key-file, or `api_key=` in Python)."
    if 300 <= status < 400:
        return " Redirects are not followed: give the final address."
    if status == 404 and foreign:
        return " Is that the address of a Tusou service?"
    return ""


def _details(value: object) -> list[ErrorDetail]:
    """Read the problem's `errors`; entries that are not as documented are left out."""
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    return [
        ErrorDetail(tuple(row["loc"]), row["type"], row.get("detail") or "")
        for row in rows
        if isinstance(row.get("loc"), list) and isinstance(row.get("type"), str)
    ]


def _retry_after(problem: dict[str, object], header: str | None) -> float | None:
    """Read the wait in seconds; the body's milliseconds are finer than the header's seconds."""
    wait_ms = problem.get("retry_after_ms")
    if isinstance(wait_ms, int | float) and 0 <= wait_ms < 1e9:
        return wait_ms / 1000
    # The header may also hold a date; reading that needs the wall clock, which jumps.
    return float(header) if header and header.isascii() and header.isdigit() else None
