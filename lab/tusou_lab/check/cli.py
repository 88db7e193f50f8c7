"""The command `tusou check`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tusou.cli.output import plain_errors, print_json
from tusou.core.errors import InvalidRequest, OutputExists

if TYPE_CHECKING:
    from tusou_lab.check.run import CheckReport

_COLOURS = {"error": "red", "warning": "yellow", "note": "blue"}


def check(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA|BUNDLE",
            help="A dataset of any format, DATA#SPLIT for one split; or a bundle, with --queries.",
        ),
    ],
    html: Annotated[
        Path | None, typer.Option(help="Page to write: findings, charts, images.", dir_okay=False)
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Find near duplicates by this bundle's vectors.", file_okay=False),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            help="How often these queries find each item of a BUNDLE.", exists=True, dir_okay=False
        ),
    ] = None,
    no_interpret: Annotated[
        bool,
        typer.Option("--no-interpret", help="With --queries: do not look for refusals in texts."),
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing page.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Report on a dataset's quality, or a bundle's hubs; exit 1 when something is an error."""
    from tusou.bundle.bundle import CURRENT
    from tusou.cli.progress import progress
    from tusou_lab.check.run import check as run_checks

    is_bundle = (Path(data) / CURRENT).is_file()
    with plain_errors():
        if html is not None:  # before the work: the page needs packages that may be missing
            from tusou_lab.check.page import write_page

            if html.exists() and not force:
                raise OutputExists(f"{html} exists; pass --force to replace it, or another --html")
        if is_bundle != (queries is not None):
            raise InvalidRequest("--queries belongs to a bundle: tusou check BUNDLE --queries Q")
        if no_interpret and queries is None:
            raise InvalidRequest("--no-interpret belongs to --queries: nothing else is searched")
        with progress() as bar:
            if queries is None:
                report = run_checks(data, bar, bundle=bundle, workers=workers or None)
            else:
                from tusou_lab.check.hubness import check_bundle

                report = check_bundle(Path(data), queries, bar, interpret=not no_interpret)
        if html is not None:
            write_page(html, report)
    if as_json:
        splits = {name: asdict(facts) for name, facts in report.splits.items()}
        findings = [asdict(finding) for finding in report.findings]
        for finding in findings:
            del finding["images"]
        content: dict[str, object] = {"source": data, "seconds": round(report.seconds, 2)}
        if report.hubness is None:
            content["splits"] = splits
        else:
            content["hubness"] = asdict(report.hubness)
        print_json({**content, "findings": findings})
    else:
        _print(report)
    raise typer.Exit(1 if report.count("error") else 0)


def _print(report: "CheckReport") -> None:
    for name, facts in report.splits.items():
        images = f"{facts.images.usable} usable images" if facts.images else "no images"
        queries = f"{facts.texts.count} queries" if facts.texts else "no queries"
        typer.echo(f"{name}: {images}, {queries}")
    if report.hubness is not None:
        for label, hubness in (("ranked", report.hubness.ranked), ("plain", report.hubness.plain)):
            if hubness is not None:
                typer.echo(
                    f"{label}: k-occurrence@{hubness.k} of {hubness.items} items in "
                    f"{hubness.queries} queries: skew {hubness.skew:.2f}, largest "
                    f"{hubness.largest}, {hubness.never} items never found"
                )
    for finding in report.findings:
        head = typer.style(f"{finding.severity:<8}", fg=_COLOURS[finding.severity])
        typer.echo(f"{head}{finding.code} ({finding.split}): {finding.message}: {finding.count}")
        for example in finding.examples:
            typer.echo(f"          {example[:100]}")
    counts = [f"{report.count(severity)} {severity}s" for severity in _COLOURS]
    typer.echo(f"{', '.join(counts)} in {report.seconds:.1f} s")
