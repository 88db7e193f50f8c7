"""Errors of the client and its commands; each has a stable code and says what to do."""

from collections.abc import Sequence

from tusou.core.errors import ErrorDetail, TusouError


class ClientError(TusouError):
    """Base of the errors that a client raises on purpose."""

    code = "client_error"
    transient = False  # whether another try may succeed
    tries = 1  # tries made before the error was raised

    def __str__(self) -> str:
        message = super().__str__()
        return message if self.tries == 1 else f"{message} (tried {self.tries} times)"


class UsageError(ClientError):
    """A URL, key, image or query that cannot be sent."""

    code = "invalid_request"


class Unreachable(ClientError):
    """No connection, or one that broke before the reply was complete."""

    code = "unreachable"
    transient = True


class TimedOut(ClientError):
    """No reply within the time limit."""

    code = "timeout"
    transient = True


class BadReply(ClientError):
    """A reply that no Tusou service sends: garbled, cut short, or from another program."""

    code = "bad_reply"
    transient = True


class ServiceError(ClientError):
    """The service refused or failed: the fields of its problem body (RFC 9457).

    `errors` lists what is wrong with the request, each with `loc`, `type` and `detail`.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        detail: str,
        transient: bool,
        retry_after: float | None = None,
        request_id: str | None = None,
        errors: Sequence[ErrorDetail] = (),
    ) -> None:
        super().__init__(message, details=errors)
        self.status = status
        self.code = code
        self.detail = detail
        self.transient = transient
        self.retry_after = retry_after
        self.request_id = request_id

    @property
    def errors(self) -> tuple[ErrorDetail, ...]:
        """The problem's `errors`, which may be fewer than there are."""
        return self.details


class BadQueries(ClientError):
    """Lines of the query file that cannot be used; the message lists them all."""

    code = "bad_queries"


class UnfinishedRun(ClientError):
    """Beside the output lies the progress of another replay, or of one that still runs."""

    code = "unfinished_run"


class PoolTooSmall(ClientError):
    """The service's pool holds fewer items than each row needs."""

    code = "pool_too_small"


class IndexChanged(ClientError):
    """The service changed its index in the middle of a call or a replay."""

    code = "index_changed"


class LoadLimit(ClientError):
    """The load generator cannot send at the requested rate."""

    code = "load_limit"
