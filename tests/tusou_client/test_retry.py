"""Retry decisions with a scripted clock and the largest draw of the jitter."""

import pytest
from tusou_client.errors import BadReply, ClientError, ServiceError, Unreachable, UsageError
from tusou_client.retry import Attempts, RetryBudget, RetryPolicy


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def largest(low: float, high: float) -> float:
    assert low == 0.0
    return high


def attempts(policy: RetryPolicy, clock: Clock, budget: RetryBudget | None = None) -> Attempts:
    return Attempts(policy, budget or RetryBudget(policy.budget), clock, largest)


def busy(retry_after: float | None) -> ServiceError:
    return ServiceError(
        "busy",
        status=503,
        code="overloaded",
        detail="busy",
        transient=True,
        retry_after=retry_after,
    )


def test_the_pause_doubles_from_100_ms_and_stops_at_5_s() -> None:
    policy = RetryPolicy(tries=None, deadline=1000, budget=None)
    tries = attempts(policy, Clock())
    pauses = [tries.pause_after(Unreachable("gone")) for _ in range(8)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_jitter_draws_from_zero() -> None:
    tries = Attempts(RetryPolicy(), RetryBudget(None), Clock(), lambda low, high: low)
    assert tries.pause_after(Unreachable("gone")) == 0.0


def test_five_tries_and_the_error_says_so() -> None:
    tries, error = attempts(RetryPolicy(budget=None), Clock()), Unreachable("gone")
    for _ in range(4):
        tries.pause_after(error)
    with pytest.raises(Unreachable, match=r"^gone \(tried 5 times\)$"):
        tries.pause_after(error)


def test_the_jitter_is_added_to_the_service_s_wait() -> None:
    assert attempts(RetryPolicy(), Clock()).pause_after(busy(2.5)) == 2.6


def test_no_pause_ends_after_the_deadline() -> None:
    clock = Clock()
    tries = attempts(RetryPolicy(deadline=30), clock)
    with pytest.raises(ServiceError):
        tries.pause_after(busy(30))
    clock.now += 29
    assert tries.timeout() == 1.0
    with pytest.raises(ServiceError):
        tries.pause_after(busy(1))


def test_a_try_takes_no_longer_than_the_timeout() -> None:
    assert attempts(RetryPolicy(timeout=2, deadline=30), Clock()).timeout() == 2.0


@pytest.mark.parametrize("error", [UsageError("x"), ClientError("x")])
def test_a_permanent_error_is_raised_at_once(error: ClientError) -> None:
    with pytest.raises(type(error)) as raised:
        attempts(RetryPolicy(), Clock()).pause_after(error)
    assert raised.value.tries == 1


def test_bad_replies_end_even_unlimited_tries() -> None:
    tries = attempts(RetryPolicy(tries=None, deadline=1e9, bad_replies=3, budget=None), Clock())
    for _ in range(20):
        tries.pause_after(Unreachable("gone"))
    tries.pause_after(BadReply("html"))
    tries.pause_after(BadReply("html"))
    with pytest.raises(BadReply):
        tries.pause_after(BadReply("html"))


def test_retries_stay_under_a_tenth_of_the_calls_once_the_reserve_is_spent() -> None:
    policy, clock = RetryPolicy(tries=None, deadline=1e9), Clock()
    budget = RetryBudget(0.1)
    retries = 0
    for _ in range(1000):
        tries = attempts(policy, clock, budget)
        for _ in range(3):
            try:
                tries.pause_after(Unreachable("gone"))
                retries += 1
            except Unreachable:
                break
    # 10 from the reserve, then a whole one for every ten calls.
    assert retries == 109


def test_a_budget_of_none_is_unlimited() -> None:
    budget = RetryBudget(None)
    assert all(budget.spend() for _ in range(1000))
