"""Client command: watch."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.output import plain_errors
from tusou_client.cli import Json, KeyFile, Url, read_key
from tusou_client.client import Client
from tusou_client.watch import WATCH_POLICY, Watcher, WatchReport
from tusou_client.watch import watch as run_watch
from tusou_client.watch_folder import WatchedAttributes
from tusou_client.watch_state import WatchState
from tusou_client.wire import DEFAULT_URL


def watch(
    folder: Annotated[Path, typer.Argument(help="Folder of images.", exists=True, file_okay=False)],
    *,
    url: Url = DEFAULT_URL,
    attributes: Annotated[
        Path | None,
        typer.Option(
            help="Attributes by item id: JSON lines, CSV or Parquet.", exists=True, dir_okay=False
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks at the folder.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Send the differences and end.")] = False,
    api_key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Keep a live service in step with a folder of images, whose item ids are their paths.

    New and changed images are put, items whose images are gone are deleted. Run again to go on.
    """

    def show(report: WatchReport) -> None:
        if as_json:
            typer.echo(json.dumps(asdict(report)))
            return
        unsettled = f", {report.unsettled} still being written" if report.unsettled else ""
        typer.echo(
            f"{report.put} put, {report.patched} patched, {report.deleted} deleted, "
            f"{report.refused} refused{unsettled}"
        )

    def notice(message: str) -> None:
        typer.secho(message, err=True)

    with (
        plain_errors(resumes=True),
        Client(url, api_key=read_key(api_key_file), policy=WATCH_POLICY) as client,
        WatchState(folder, client.url) as state,
    ):
        table = WatchedAttributes(attributes) if attributes else None
        watcher = Watcher(client, folder, state, table, notice)
        if once:
            time.sleep(interval)
            show(watcher.step())
        else:
            run_watch(watcher, interval, show, notice)
