"""The systemd unit and the nginx configuration agree with the service's settings."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tusou_service.settings import Settings
from tusou_service.shutdown import EXIT_BROKEN, EXIT_FAILED, EXIT_MISMATCH

DEPLOYMENT = Path(__file__).parents[2] / "docs" / "deployment"
NGINX = (DEPLOYMENT / "nginx.conf").read_text()


@pytest.fixture
def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOYMENT / "tusou.service")
    return parser["Service"]


def test_the_unit_waits_for_the_drain(unit: configparser.SectionProxy) -> None:
    settings = Settings()
    assert int(unit["TimeoutStopSec"]) > settings.drain_s + settings.shutdown_s
    assert int(unit["LimitNOFILE"]) > settings.max_connections


def test_the_unit_restarts_only_where_that_helps(unit: configparser.SectionProxy) -> None:
    final = set(map(int, unit["RestartPreventExitStatus"].split()))
    assert {EXIT_FAILED, EXIT_MISMATCH} <= final
    assert EXIT_BROKEN not in final


def test_nginx_closes_its_connections_before_the_service_does() -> None:
    [seconds] = re.findall(r"keepalive_timeout (\d+)s", NGINX)
    assert int(seconds) < Settings().keep_alive_s


def test_nginx_waits_for_the_longest_time_limit() -> None:
    [seconds] = re.findall(r"proxy_read_timeout (\d+)s", NGINX)
    assert int(seconds) > 30


def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    openssl = shutil.which("openssl")
    if not nginx or not openssl:
        pytest.skip("nginx or openssl is not installed")
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    made = [*command, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    site = tmp_path / "tusou.conf"
    site.write_text(NGINX.replace("/etc/ssl/tusou", str(tmp_path)))
    main = tmp_path / "nginx.conf"
    main.write_text(
        f"pid {tmp_path}/pid;\nerror_log {tmp_path}/log;\nevents {{}}\n"
        f"http {{ access_log off; include {site}; }}\n"
    )
    done = subprocess.run(
        [nginx, "-t", "-c", str(main)], capture_output=True, text=True, check=False
    )
    # It may not be allowed to listen on port 80 or on IPv6; the syntax is what counts.
    assert "syntax is ok" in done.stderr, done.stderr
