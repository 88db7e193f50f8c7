"""Health check for containers, without curl: exits 0 if the local service is ready."""

import sys
from http.client import HTTPConnection, HTTPException

from tusou_service.settings import Settings

_TIMEOUT = 2.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a key, not listened on


def main() -> int:
    """Request /readyz at the address of the settings; return the exit code."""
    settings = Settings()
    host = _LOOPBACK.get(settings.host, settings.host)
    connection = HTTPConnection(host, settings.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        print(f"not reachable: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        connection.close()
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
