"""Every error Tusou raises on purpose; each has a stable code and says what to do."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One fault in the input, and its location: ("body", "queries", 3)."""

    loc: tuple[str | int, ...]
    type: str  # stable and machine-readable
    detail: str = ""


class TusouError(Exception):
    """Base of all errors that are not bugs; `code` is stable and machine-readable.

    `details` lists the single faults of an input. `retry_after` is in seconds, None if unknown.
    """

    code: str = "error"
    retry_after: float | None = None

    def __init__(self, message: str = "", *, details: Sequence[ErrorDetail] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class InputError(TusouError):
    """The caller's data is at fault."""

    code = "invalid_input"


class InvalidJson(InputError):
    """The body is not one well-formed JSON document in UTF-8."""

    code = "invalid_json"


class InvalidRequest(InputError):
    """A value has the wrong type, range or name."""

    code = "invalid_request"


class EmptyQuery(InputError):
    """Nothing is left of the query once blanks and control characters are gone."""

    code = "empty_query"


class QueryTooLong(InputError):
    """The query is over the character or byte limit."""

    code = "query_too_long"


class BadImage(InputError):
    """The bytes are not an image that can be used."""

    code = "bad_image"


class BadDataset(InputError):
    """A data file breaks its format; the message lists the lines."""

    code = "bad_dataset"


class UnknownItem(InputError):
    """The pool holds no item of that id."""

    code = "unknown_item"


class NoImage(UnknownItem):
    """The items are texts: none of them has an image."""

    code = "no_image"


class Unavailable(TusouError):
    """Right request, wrong moment."""

    code = "unavailable"


class Overloaded(Unavailable):
    """More work is waiting than can be answered in time."""

    code = "overloaded"


class NotReady(Unavailable):
    """The service is starting, draining or broken."""

    code = "not_ready"


class OutOfMemory(Unavailable):
    """The device's memory cannot hold the work of even one query now."""

    code = "out_of_memory"


class DeadlineExceeded(Unavailable):
    """The caller's time ran out before the work began."""

    code = "deadline_exceeded"


class RateLimited(TusouError):
    """This caller sends more than its share."""

    code = "rate_limited"


class ArtifactError(TusouError):
    """What is on disk cannot be used."""

    code = "artifact_error"


class CorruptBundle(ArtifactError):
    """A file of the bundle is missing or its bytes are not those that were published."""

    code = "corrupt_bundle"


class IncompatibleBundle(ArtifactError):
    """The bundle was made by another format version or another model."""

    code = "incompatible_bundle"


class BadModel(ArtifactError):
    """A model file cannot be read or is not a cn_clip checkpoint."""

    code = "bad_model"


class InsufficientMemory(ArtifactError):
    """The memory, a device's or the host's, cannot hold this beside what it holds already."""

    code = "insufficient_memory"


class OutputExists(ArtifactError):
    """The output is there already and must not be overwritten unasked."""

    code = "output_exists"


class Locked(ArtifactError):
    """Another process is writing the same artifact."""

    code = "locked"


class MissingDependency(TusouError):
    """An optional package is needed and not installed."""

    code = "missing_dependency"
