"""What can go wrong between a client and the service; each error has a code and says what to do."""


class ClientError(Exception):
    """Base of every error a client raises on purpose; `code` is stable and machine-readable."""

    code: str = "client_error"
    transient = False  # whether asking again can help
    retry_after: float | None = None  # seconds the service asked us to wait
    tries = 1

    def __str__(self) -> str:
        """Say what happened, and how often it was tried."""
        message = super().__str__()
        return message if self.tries == 1 else f"{message} (tried {self.tries} times)"


class UsageError(ClientError):
    """A URL, key or query that no service could answer."""

    code = "invalid_request"


class Unreachable(ClientError):
    """No connection, or it broke before the answer was whole."""

    code = "unreachable"
    transient = True


class TimedOut(ClientError):
    """The answer did not come in time."""

    code = "timeout"
    transient = True


class BadReply(ClientError):
    """Something answered, but not as Tusou does: garbled, cut short, or another program."""

    code = "bad_reply"
    transient = True


class ServiceError(ClientError):
    """The service refused or failed; `code` is the one of its problem body."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        detail: str,
        transient: bool,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail = detail  # the service's own words
        self.transient = transient
        self.retry_after = retry_after


class BadQueries(ClientError):
    """Lines of the query file that cannot be used; the message lists them all."""

    code = "bad_queries"


class OutputExists(ClientError):
    """The output is there already and must not be overwritten unasked."""

    code = "output_exists"


class UnfinishedRun(ClientError):
    """Beside the output lies the progress of another run, or one that is still going on."""

    code = "unfinished_run"


class PoolTooSmall(ClientError):
    """The service's pool holds fewer items than one row needs."""

    code = "pool_too_small"


class IndexChanged(ClientError):
    """The service keeps changing its index, and one file must not mix two."""

    code = "index_changed"
