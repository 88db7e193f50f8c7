"""Tusou's errors. Each class has a stable code; each message says what to do."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One fault in the input, and its location: ("body", "queries", 3)."""

    loc: tuple[str | int, ...]
    type: str  # stable and machine-readable
    detail: str = ""


class TusouError(Exception):
    """Base of all errors that are not bugs. `code` is stable and machine-readable.

    `details` lists the single faults of an input; they are the message if there is no other.
    `retry_after` is in seconds, None if unknown.
    """

    code: str = "error"
    retry_after: float | None = None

    def __init__(self, message: str = "", *, details: Sequence[ErrorDetail] = ()) -> None:
        super().__init__(message or " ".join(each.detail for each in details if each.detail))
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


class NotCalibrated(InputError):
    """The bundle has no calibration for queries of this kind."""

    code = "not_calibrated"


class EmptyQuery(InputError):
    """The query has no visible character."""

    code = "empty_query"


class QueryTooLong(InputError):
    """The query exceeds the character or byte limit."""

    code = "query_too_long"


class NoEncoder(InputError):
    """The bundle holds vectors alone: no model encodes texts or images for it."""

    code = "no_encoder"


class BadImage(InputError):
    """The bytes are not an image that can be used."""

    code = "bad_image"


class BadDataset(InputError):
    """A data file breaks its format. The message lists the lines."""

    code = "bad_dataset"


class UnknownItem(InputError):
    """The index holds no item of that id."""

    code = "unknown_item"


class PreconditionFailed(InputError):
    """The item is not in the version that the change was made for."""

    code = "precondition_failed"


class NoImage(UnknownItem):
    """The items are texts and have no images."""

    code = "no_image"


class Unavailable(TusouError):
    """The service cannot handle the request now; a later one may succeed."""

    code = "unavailable"


class Overloaded(Unavailable):
    """More requests are waiting than can be handled in time."""

    code = "overloaded"


class NotReady(Unavailable):
    """The service is starting, draining or broken."""

    code = "not_ready"


class OutOfMemory(Unavailable):
    """There is too little free memory for a single query or image."""

    code = "out_of_memory"


class IndexUnavailable(Unavailable):
    """The server that holds the index, such as Milvus, does not answer."""

    code = "index_unavailable"


class DeadlineExceeded(Unavailable):
    """The deadline of the request passed before it was handled."""

    code = "deadline_exceeded"


class StorageFull(Unavailable):
    """The disk is full or failing, so that a change or a version was not stored."""

    code = "storage_full"


class StoreUnreachable(Unavailable):
    """The store that holds a bundle does not answer, or denies access."""

    code = "store_unreachable"


class RateLimited(TusouError):
    """The client sends more requests than its limit."""

    code = "rate_limited"


class ArtifactError(TusouError):
    """A file or folder on disk cannot be used."""

    code = "artifact_error"


class CorruptBundle(ArtifactError):
    """A file of the bundle is missing or has changed since it was published."""

    code = "corrupt_bundle"


class IncompatibleBundle(ArtifactError):
    """The bundle was made by another format version or another model."""

    code = "incompatible_bundle"


class BadModel(ArtifactError):
    """A model file cannot be read or is not a cn_clip checkpoint."""

    code = "bad_model"


class InsufficientMemory(ArtifactError):
    """A bundle or model does not fit the free memory of the device or host."""

    code = "insufficient_memory"


class OutputExists(ArtifactError):
    """The output exists and is not overwritten without --force."""

    code = "output_exists"


class Locked(ArtifactError):
    """Another process is writing the same artifact."""

    code = "locked"


class MissingDependency(TusouError):
    """A package of an optional extra is not installed."""

    code = "missing_dependency"
