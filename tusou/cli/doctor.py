"""`tusou doctor`: checks this machine, and says what to do about each problem."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.environment_checks import CHECKS, EnvironmentFinding, run_check
from tusou.cli.output import plain_errors, print_json

_MARKS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}
_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def doctor(
    *,
    folder: Annotated[
        Path, typer.Option(help="Folder that bundles are written to.", file_okay=False)
    ] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Check this machine: Python, packages, processor, GPU, weights, hubs, disk, locale, proxies.

    Each problem is listed with what to do. Exits with 1 if one of them keeps Tusou from working.
    """
    findings: list[EnvironmentFinding] = []
    with plain_errors():
        for check in CHECKS:
            for finding in run_check(check, folder):
                findings.append(finding)
                if not as_json:
                    _print(finding)
        if as_json:
            print_json([asdict(finding) for finding in findings])
    if any(finding.state == "error" for finding in findings):
        raise typer.Exit(1)


def _print(finding: EnvironmentFinding) -> None:
    typer.secho(f"{_MARKS[finding.state]} ", nl=False, fg=_COLOURS[finding.state])
    typer.echo(f"{finding.subject}: {finding.text}")
    if finding.remedy:
        typer.echo(f"        -> {finding.remedy}")
