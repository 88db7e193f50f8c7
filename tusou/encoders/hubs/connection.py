"""HTTP requests to a hub, with a deadline to connect and errors that say what to do."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tusou import __version__
from tusou.core.errors import InvalidRequest
from tusou.encoders.hubs.base import Hub, HubError, WebPageError

if TYPE_CHECKING:
    import httpx

_OK, _PARTIAL = 200, 206
_RESET = re.compile(r"\bt\s*=\s*(\d+)")  # seconds, in the header RateLimit of huggingface.co


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits of a download, and the number of its attempts."""

    contact: float = 3.0  # seconds until the first connection must be there
    silence: float = 30.0  # seconds without a byte, after which a connection is made anew
    list_attempts: int = 3  # for a list of files
    attempts: int = 5  # for a file's bytes, without one in between
    pause: float = 0.5  # seconds after the first attempt; twice that after each further one
    longest_wait: float = 60.0  # seconds that a hub may ask to wait

    def after(self, failures: int, error: HubError, attempts: int) -> float:
        """Return the seconds to wait after the last of the failures, or raise its error."""
        wait = self.pause * 2 ** (failures - 1) if error.wait is None else error.wait
        if not error.may_pass or failures >= attempts or wait > self.longest_wait:
            raise error
        return wait


class HubConnection:
    """Requests to one hub. Every method raises HubError on failure."""

    def __init__(self, hub: Hub, patience: Patience) -> None:
        self.patience = patience
        self._hub, self._reached = hub, False
        self._client = _make_client(hub, patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._client.close()

    def read_json(self, url: str) -> Any:
        """Return the JSON document at an address, tried again while the failure may pass."""
        failures = 0
        while True:
            try:
                with self.stream(url) as response:
                    response.read()
                return response.json()
            except ValueError:
                raise WebPageError from None
            except HubError as error:
                failures += 1
                wait = self.patience.after(failures, error, self.patience.list_attempts)
            time.sleep(wait)

    @contextmanager
    def stream(self, url: str, start: int = 0) -> "Iterator[httpx.Response]":
        """Yield the answer whose bytes begin at `start`, or at 0 if its status is 200."""
        import httpx  # noqa: PLC0415 - slow to import, and needed for a download alone

        headers = {"Range": f"bytes={start}-"} if start else {}
        request = self._client.build_request("GET", url, headers=headers)
        try:
            response = self._send(request)
            try:
                _check(response)
                yield response
            finally:
                response.close()
        except httpx.TransportError as error:
            raise HubError(f"the connection failed ({_name(error)})", may_pass=True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise HubError(f"the answer cannot be used ({_name(error)})") from error

    def _send(self, request: "httpx.Request") -> "httpx.Response":
        if not self._reached:
            response = self._reach(request)
            self._reached = True
            return response
        return self._client.send(request, stream=True)

    def _reach(self, request: "httpx.Request") -> "httpx.Response":
        """Send the first request in a thread: looking up a host name has no time limit."""
        import httpx  # noqa: PLC0415 - see above

        connected, answer = Event(), Future["httpx.Response"]()
        last = "start_tls.complete" if request.url.scheme == "https" else "connect_tcp.complete"

        def trace(event: str, _: dict[str, Any]) -> None:
            if event.endswith(last):
                connected.set()

        def send() -> None:
            try:
                answer.set_result(self._client.send(request, stream=True))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                answer.set_exception(error)
            finally:
                answer.cancel()  # no effect on an answer; ends the wait after any other exception
                connected.set()

        request.extensions["trace"] = trace
        Thread(target=send, daemon=True).start()
        late = HubError(f"it cannot be reached within {self.patience.contact:g} s")
        if not connected.wait(self.patience.contact):
            raise late
        try:
            return answer.result()
        except httpx.ConnectTimeout:
            raise late from None
        except httpx.TransportError as error:
            raise HubError(f"it cannot be reached ({_name(error)})") from error


def _make_client(hub: Hub, patience: Patience) -> "httpx.Client":
    """Return a client; InvalidRequest if the environment names proxies that it cannot use."""
    import httpx  # noqa: PLC0415 - see above

    headers = {
        "User-Agent": f"tusou/{__version__}",
        "Accept-Encoding": "identity",  # so that ranges count the bytes of the file
        **hub.headers(),
    }
    timeout = httpx.Timeout(patience.silence, connect=patience.contact)
    try:
        return httpx.Client(headers=headers, timeout=timeout, follow_redirects=True)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        cause = str(error).partition(". ")[0]
        raise InvalidRequest(
            f"the proxy variables of the environment cannot be used ({cause}): correct or unset "
            "http_proxy, https_proxy, all_proxy and no_proxy, in capitals too"
        ) from None


def _check(response: "httpx.Response") -> None:
    """Raise HubError for an answer that is not data."""
    status = response.status_code
    if status in {_OK, _PARTIAL}:
        return
    if status in {401, 403}:
        raise HubError(
            f"it refuses access (HTTP {status}): the model is private, needs its terms to be "
            "accepted, or does not exist; give a token (HF_TOKEN, MODELSCOPE_API_TOKEN)"
        )
    if status == 404:
        raise HubError("it has no model, revision or file of this name (HTTP 404)")
    if status == 416:
        raise HubError("it has no more bytes of this file (HTTP 416)", may_pass=True)
    if status == 429:
        wait = _wait_of(response)
        later = "later" if wait is None else f"after {wait:g} s"
        raise HubError(
            f"it limits requests (HTTP 429): try again {later}", may_pass=True, wait=wait
        )
    raise HubError(f"it fails (HTTP {status})", may_pass=status >= 500 or status == 408)


def _wait_of(response: "httpx.Response") -> float | None:
    """Return the seconds that a hub asks to wait; None if it does not say."""
    retry_after = response.headers.get("Retry-After", "")
    if retry_after.isdigit():
        return float(retry_after)
    match = _RESET.search(response.headers.get("RateLimit", ""))
    return float(match[1]) if match else None


def _name(error: Exception) -> str:
    return type(error).__name__
