"""The command `tusou check`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tusou.cli.output import plain_errors, print_json
from tusou.core.errors import OutputExists

if TYPE_CHECKING:
    from tusou_lab.check.run import CheckReport

_COLOURS = {"error": "red", "warning": "yellow", "note": "blue"}


def check(
    data: Annotated[
        str, typer.Argument(help="A dataset of any format; DATA#SPLIT for one split of it.")
    ],
    html: Annotated[
        Path | None, typer.Option(help="Page to write: findings, charts, images.", dir_okay=False)
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Find near duplicates by this bundle's vectors.", file_okay=False),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing page.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Report on a dataset's quality; exit 1 when something in it is an error."""
    from tusou.cli.progress import progress
    from tusou_lab.check.run import check as run_checks

    with plain_errors():
        if html is not None:  # before the work: the page needs packages that may be missing
            from tusou_lab.check.page import write_page

            if html.exists() and not force:
                raise OutputExists(f"{html} exists; pass --force to replace it, or another --html")
        with progress() as bar:
            report = run_checks(data, bar, bundle=bundle, workers=workers or None)
        if html is not None:
            write_page(html, report)
    if as_json:
        splits = {name: asdict(facts) for name, facts in report.splits.items()}
        findings = [asdict(finding) for finding in report.findings]
        for finding in findings:
            del finding["images"]
        seconds = round(report.seconds, 2)
        print_json({"source": data, "seconds": seconds, "splits": splits, "findings": findings})
    else:
        _print(report)
    raise typer.Exit(1 if report.count("error") else 0)


def _print(report: "CheckReport") -> None:
    for name, facts in report.splits.items():
        images = f"{facts.images.usable} usable images" if facts.images else "no images"
        queries = f"{facts.texts.count} queries" if facts.texts else "no queries"
        typer.echo(f"{name}: {images}, {queries}")
    for finding in report.findings:
        head = typer.style(f"{finding.severity:<8}", fg=_COLOURS[finding.severity])
        typer.echo(f"{head}{finding.code} ({finding.split}): {finding.message}: {finding.count}")
        for example in finding.examples:
            typer.echo(f"          {example[:100]}")
    counts = [f"{report.count(severity)} {severity}s" for severity in _COLOURS]
    typer.echo(f"{', '.join(counts)} in {report.seconds:.1f} s")
