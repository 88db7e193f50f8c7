"""The table of problem types, and problem responses."""

import json

import pytest
from tusou_service.engine.micro_batcher import QueueFull
from tusou_service.http.errors import (
    MAX_PROBLEM_BYTES,
    PROBLEM_TYPES,
    error_responses,
    problem_response,
    problem_type,
)

import tusou.core.errors
from tusou.core.errors import (
    DeadlineExceeded,
    ErrorDetail,
    InvalidRequest,
    MissingDependency,
    Overloaded,
    TusouError,
)


def test_every_domain_error_has_a_problem_type_or_is_a_bug() -> None:
    kinds = [
        kind
        for kind in vars(tusou.core.errors).values()
        if isinstance(kind, type) and issubclass(kind, TusouError)
    ]
    bugs = {kind for kind in kinds if problem_type(kind())[0] == "internal"}
    assert bugs == {TusouError, MissingDependency}


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in PROBLEM_TYPES]
    assert len(codes) == len(set(codes))


def test_a_new_error_has_its_parents_problem_type_and_code() -> None:
    class NewError(InvalidRequest):
        code = "new"

    code, kind = problem_type(NewError())
    assert (code, kind.status) == ("invalid_request", 422)


@pytest.mark.parametrize(
    ("error", "milliseconds", "header"),
    [(QueueFull("", 0.123), 123, "1"), (QueueFull("", 2.5), 2500, "3"), (Overloaded(), 1000, "1")],
)
def test_a_503_says_when_to_retry(error: TusouError, milliseconds: int, header: str) -> None:
    response = problem_response(error, "id")
    assert json.loads(bytes(response.body))["retry_after_ms"] == milliseconds
    assert response.headers["retry-after"] == header


def test_a_504_does_not_say_when_to_retry() -> None:
    assert "retry-after" not in problem_response(DeadlineExceeded(), "id").headers


def test_details_are_dropped_until_the_response_fits() -> None:
    details = [ErrorDetail(("body", "裙" * 99), "t", "d" * 100)] * 20
    response = problem_response(InvalidRequest(details=details), "id")
    body = json.loads(bytes(response.body))
    assert len(response.body) <= MAX_PROBLEM_BYTES
    assert 1 <= len(body["errors"]) < 16
    assert body["errors"][0]["loc"] == ["body", "裙" * 40]


def test_error_responses_group_codes_by_status() -> None:
    responses = error_responses(Overloaded, DeadlineExceeded)
    assert [*responses] == [401, 403, 422, 431, 500, 503, 504]
    assert responses[503]["description"] == "overloaded"
