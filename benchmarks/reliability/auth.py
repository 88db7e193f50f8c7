"""Routes without a key, with wrong keys, and with keys of another scope.

python -m benchmarks.reliability.auth [--full]
"""

import argparse
import random
import string
import sys
import tempfile
from collections import Counter
from pathlib import Path

import httpx

from benchmarks.record import record
from benchmarks.running import demo_bundle, service

_PUBLIC = {"/", "/docs", "/healthz", "/readyz"}
_KEYS = {scope: f"a-key-for-{scope}-of-the-service" for scope in ("search", "admin", "metrics")}
_CHARACTERS = string.ascii_letters + string.digits + "-_.~ é"


def main() -> None:
    """Measure and print, and record with --full; exit 1 if a route is open or fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="10,000 wrong keys instead of 500")
    full = parser.parse_args().full
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = folder / "keys"
        keys.write_text("".join(f"{key} {scope}\n" for scope, key in _KEYS.items()))
        with (
            service(demo_bundle(folder, items=50), TUSOU_API_KEYS=str(keys)) as running,
            httpx.Client(base_url=running.url, timeout=60, trust_env=False) as client,
        ):
            routes = _routes(client)
            closed = [route for route in routes if _status(client, *route, None) == 401]
            scopes = {
                f"{method} {path}": [
                    scope
                    for scope, key in _KEYS.items()
                    if _status(client, method, path, key) not in {401, 403}
                ]
                for method, path in routes
            }
            wrong = _wrong_keys(client, 10_000 if full else 500)
    figures: dict[str, object] = {
        "routes that need a key": len(routes),
        "closed without one": len(closed),
        "open without one": [
            f"{method} {path}" for method, path in routes if (method, path) not in closed
        ],
        "scopes that each accepts": scopes,
        "statuses of wrong keys": {str(status): count for status, count in wrong.items()},
    }
    record("reliability.auth", figures, save=full)
    sys.exit(len(closed) < len(routes) or set(wrong) != {401})


def _routes(client: httpx.Client) -> list[tuple[str, str]]:
    """Return method and path of every documented route that is not public."""
    documented = client.get("/openapi.json", headers=_header(_KEYS["search"])).json()["paths"]
    return [
        (method.upper(), path)
        for path, methods in documented.items()
        for method in methods
        if path not in _PUBLIC
    ]


def _status(client: httpx.Client, method: str, path: str, key: str | None) -> int:
    filled = path.replace("{item_id}", "1").replace("{model}", "demo")
    body: dict[str, object] | None = {} if method == "POST" else None
    headers = _header(key) if key else None
    return client.request(method, filled, headers=headers, json=body).status_code


def _wrong_keys(client: httpx.Client, count: int) -> Counter[int]:
    """Send random keys, and real ones with one character more or less."""
    draw, statuses = random.Random(0), Counter[int]()
    near = [key[:-1] for key in _KEYS.values()] + [f"{key}x" for key in _KEYS.values()]
    for number in range(count):
        drawn = "".join(draw.choices(_CHARACTERS, k=draw.randint(1, 200)))
        key = near[number] if number < len(near) else drawn.strip() or "x"
        response = client.post("/search", json={"query": "裙"}, headers=_header(key))
        statuses[response.status_code] += 1
    return statuses


def _header(key: str) -> dict[bytes, bytes]:
    return {b"Authorization": f"Bearer {key}".encode()}


if __name__ == "__main__":
    main()
