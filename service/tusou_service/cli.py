"""The command `tusou serve`."""

import logging
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.hub_option import Hub
from tusou.cli.output import plain_errors
from tusou.cli.verbosity import verbosity

_OPEN = (
    "Without API keys, every machine that reaches this address could search, reload the index and "
    "read the metrics. Give a key file (TUSOU_API_KEYS or --api-keys), listen on 127.0.0.1, or set "
    "TUSOU_OPEN=yes if access is controlled elsewhere."
)


def serve(
    bundle: Annotated[
        str | None,
        typer.Argument(help="Bundle folder, or s3://BUCKET/PREFIX.", show_default="TUSOU_BUNDLE"),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Server processes, each with its own model and index.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto, fp32, bf16, fp16, int8 or int8-calibrated.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The bundle's weights, if not where the bundle says.")
    ] = None,
    query_encoder: Annotated[
        Path | None, typer.Option(help="A student that encodes queries, from `tusou distil`.")
    ] = None,
    hub: Hub = None,
    api_keys: Annotated[Path | None, typer.Option(help="File of API keys, one a line.")] = None,
    max_batch: Annotated[int | None, typer.Option(help="Queries in one pass.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Answer queries over HTTP. TUSOU_* variables set everything else."""
    passed = {name: value for name, value in locals().items() if value is not None}
    if log_level is None and verbosity() != "normal":
        passed["log_level"] = "warning" if verbosity() == "quiet" else "debug"
    from pydantic import ValidationError

    from tusou_service import factory, logging_config, server, supervisor
    from tusou_service.http.auth import ApiKeys, is_loopback
    from tusou_service.settings import (
        Settings,
        choose_hub,
        renamed_variables,
        unknown_variables,
    )

    if renamed := renamed_variables():
        for name, new_name in renamed.items():
            typer.secho(f"{name} is now called {new_name}; rename it.", err=True, fg="red")
        raise typer.Exit(2)
    try:
        settings = Settings(**passed)  # pydantic checks them
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"])
            typer.secho(f"TUSOU_{name.upper()}: {fault['msg']}", err=True, fg="red")
        raise typer.Exit(2) from None
    if not (settings.api_keys or settings.open or is_loopback(settings.reachable_host())):
        typer.secho(_OPEN, err=True, fg="red")
        raise typer.Exit(2)
    logging_config.configure(settings.log_level, settings.log_format)
    log = logging.getLogger(__name__)
    for name in unknown_variables():
        log.warning("%s is not a setting and has no effect", name)
    choose_hub(settings.hub)
    with plain_errors():
        keys = ApiKeys.read(settings.api_keys) if settings.api_keys else None
        code = supervisor.run(settings, partial(factory.make_parts, keys=keys))
    log.info("stopped", extra={"fields": {"exit_code": code}})
    server.leave(code)
