"""The verb `serve`."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.output import plain_errors


def serve(
    bundle: Annotated[
        Path | None, typer.Argument(help="Bundle folder.", show_default="TUSOU_BUNDLE")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16, fp16 or int8.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Where the bundle's weights are, if not where it says.")
    ] = None,
    api_keys: Annotated[Path | None, typer.Option(help="File of API keys, one a line.")] = None,
    max_batch: Annotated[int | None, typer.Option(help="Queries in one pass.")] = None,
    queue_size: Annotated[int | None, typer.Option(help="Queries that may wait.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Answer queries over HTTP; TUSOU_* variables set what no option does."""
    from pydantic import ValidationError

    from tusou_service import factory as wiring
    from tusou_service import logging_config as logs
    from tusou_service import server
    from tusou_service.http.auth import ApiKeys
    from tusou_service.settings import Settings, unknown_variables

    flags = {
        "bundle": bundle,
        "host": host,
        "port": port,
        "device": device,
        "precision": precision,
        "model": model,
        "api_keys": api_keys,
        "max_batch": max_batch,
        "queue_size": queue_size,
        "log_level": log_level,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # checked right here
    except ValidationError as error:
        for one in error.errors():
            name = "_".join(str(part) for part in one["loc"])
            typer.secho(f"TUSOU_{name.upper()}: {one['msg']}", err=True, fg="red")
        raise typer.Exit(2) from None
    logs.configure(settings.log_level)
    for name in unknown_variables():
        logging.getLogger(__name__).warning("%s is no setting: it changes nothing", name)
    with plain_errors():
        keys = ApiKeys.read(settings.api_keys) if settings.api_keys else None
        engine, tracer = wiring.make_engine(settings), wiring.make_tracer(settings)
        code = server.serve(
            settings, engine, keys, tracer, wiring.make_experiment(settings, engine)
        )
    server.leave(code)
