"""Settings, read from TUSOU_* variables. No other module reads or sets the environment."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tusou.bundle.location import BundleLocation, parse_location
from tusou.bundle.model_record import HubName
from tusou.core.errors import InvalidRequest
from tusou.images.preprocess import MAX_MEGAPIXELS
from tusou_service.engine.interfaces import LiveOptions
from tusou_service.engine.micro_batcher import BatchLimits
from tusou_service.http.body_limits import MAX_TIMEOUT_MS
from tusou_service.images.query_encoder import ImagePolicy
from tusou_service.logging_config import LogFormat

RENAMED_VARIABLES = {
    "TUSOU_PICTURE_QUERIES": "TUSOU_IMAGE_QUERIES",
    "TUSOU_ENGINE": "TUSOU_BACKEND",
    "TUSOU_HTTP_PROCESSES": "TUSOU_WORKERS",
}

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
# As browsers send it: a scheme and a host, perhaps a port, no path.
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")]


def _parse_location(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_location(value)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


# A folder, or the address of a bundle in a store.
Location = Annotated[BundleLocation, NoDecode, BeforeValidator(_parse_location)]


class Settings(BaseSettings):
    """Settings of the process; the bundle says what is served."""

    model_config = SettingsConfigDict(
        env_prefix="TUSOU_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    bundle: Location | None = Field(
        default=None, description="The bundle to serve: a folder, or s3://BUCKET/PREFIX."
    )
    cache_dir: Path | None = Field(
        default=None,
        description="The folder for copies of bundles from a store; empty: ~/.cache/tusou.",
    )
    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port; 0 takes a free one.")
    device: str = Field(
        default="auto", description="The device of the model: auto, cpu, cuda, cuda:1."
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8", "int8-calibrated"] = Field(
        default="auto",
        description="The precision of the model; auto: the fastest of the device, except int8. "
        "int8-calibrated: the graph that encoded the bundle's images.",
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        default="auto",
        description="What computes the model: torch, openvino (CPU only), or auto: openvino if it "
        "is installed and faster.",
    )
    model: str | None = Field(
        default=None,
        description="A model to use instead of the one that the bundle names; its weights must "
        "be the same. Of an ensemble, the models that have moved, with commas.",
    )
    query_encoder: Path | None = Field(
        default=None,
        description="The folder of a student that encodes the texts of queries in place of the "
        "bundle's model, which must be its teacher.",
    )
    hub: HubName | None = Field(
        default=None,
        description="The hub of models that are not on this machine, huggingface or modelscope; "
        "empty: the one that the bundle's model is from, or huggingface.",
    )
    models: Path | None = Field(
        default=None,
        description="The folder for models that are downloaded; empty: ~/.cache/tusou/models, and "
        "~/.cache/clip for the published ones.",
    )

    trust_remote_code: bool = Field(
        default=False,
        description="Whether the code in a model's own folder may run, with the rights of the "
        "service.",
    )

    image_queries: ImagePolicy = Field(
        default="auto",
        description="Queries with images: off, lazy (the first one loads the image tower), on; "
        "auto: on if the items are texts, else lazy.",
    )

    max_image_megapixels: int = Field(
        default=MAX_MEGAPIXELS,
        ge=1,
        le=178,  # Pillow refuses more
        description="Limit for the size of an image; memory grows with it, by 32 MB for each.",
    )

    ab_bundle: Location | None = Field(default=None, description="A second bundle, to compare.")
    ab_model: str | None = Field(
        default=None, description="The second bundle's weights, if not where the bundle says."
    )
    ab_query_encoder: Path | None = Field(
        default=None,
        description="A student that encodes the queries of the second bundle, which is the first "
        "one again if TUSOU_AB_BUNDLE is empty.",
    )
    ab_mode: Literal["split", "shadow"] = Field(
        default="split",
        description="split: each user gets one of the bundles; shadow: searches are repeated on "
        "the second, and only compared.",
    )
    ab_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of users for the second bundle, or of searches repeated on it.",
    )
    ab_name: str | None = Field(
        default=None,
        max_length=64,
        description="The experiment's name; another name assigns users anew.",
    )

    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Server processes on the port, each with its own model and index in memory.",
    )
    follow_s: float = Field(
        default=0,
        ge=0,
        description="Seconds between looks at the bundle's CURRENT, to change to its version; 0: "
        "change only on POST /admin/reload.",
    )
    live: bool = Field(
        default=False,
        description="Whether items can be changed while the service runs: on or off. Needs one "
        "worker and no second bundle.",
    )
    compact_mb: Count = Field(
        default=256,
        description="Size of the log of changes beyond which they are written into a version.",
    )
    milvus_uri: str | None = Field(
        default=None,
        description="The Milvus server of an index on Milvus, if not the one that the bundle "
        "names; with user and password: http://USER:PASSWORD@HOST:19530.",
    )
    milvus_timeout_ms: int = Field(
        default=2000, ge=1, le=60_000, description="Time limit of a search on Milvus."
    )
    rerank_url: str | None = Field(
        default=None,
        description="The endpoint of a bundle that a vision language model reranks, if not the one "
        "that the bundle names, such as http://127.0.0.1:8001/v1.",
    )
    rerank_key_file: Path | None = Field(
        default=None, description="A file with the API key of that endpoint in its first line."
    )
    max_batch: Count = Field(default=64, description="Queries in one pass of the model.")
    queue_size: Count = Field(default=1024, description="Queries that may wait; more are refused.")
    timeout_ms: int = Field(
        default=2000,
        ge=1,
        le=MAX_TIMEOUT_MS,
        description="Time limit of a search, if the client sets none.",
    )
    target_ms: Count | None = Field(
        default=None,
        description="Latency that admission of searches aims at under load; empty: 5 times an "
        "efficient batch, at least 50.",
    )
    cache_queries: int = Field(
        default=10_000, ge=0, description="Queries whose vectors are cached; 0: no cache."
    )
    stall_s: Seconds = Field(
        default=10,
        description="A batch that takes longer, and 5 times as long as the longest expected one, "
        "ends the process.",
    )

    max_body_bytes: Count = Field(default=64 * 1024, description="Limit for a body of /search.")
    max_batch_body_bytes: Count = Field(
        default=1024 * 1024, description="Limit for a body of /search/batch."
    )
    max_pending_body_bytes: Count = Field(
        default=64 * 1024 * 1024,
        description="Limit for all unfinished bodies of a worker together; beyond it the largest "
        "is refused.",
    )
    max_header_bytes: Count = Field(
        default=16 * 1024, description="Limit for all headers of a request."
    )
    max_connections: Count = Field(
        default=2048, description="Open connections of each worker; more are refused."
    )
    header_s: Seconds = Field(default=5, description="Time a client has to send its headers.")
    body_s: Seconds = Field(default=10, description="Time a client has to send its body.")
    keep_alive_s: Count = Field(default=5, description="Idle time before a connection is closed.")
    write_s: Seconds = Field(default=20, description="Time a client may delay reading its answer.")

    rate_per_s: float = Field(
        default=0,
        ge=0,
        description="Queries per second of one client; 0: no limit. Each worker counts its own: "
        "divide the rate by the number of workers.",
    )
    rate_burst: Count = Field(
        default=20, description="Queries of one client at once, in each worker."
    )

    drain_s: float = Field(
        default=2,
        ge=0,
        description="Time between SIGTERM, which ends readiness, and closing the port.",
    )
    shutdown_s: Count = Field(
        default=25, description="Time that requests in flight have to finish."
    )

    api_keys: Path | None = Field(
        default=None, description="A file of API keys, one a line: KEY, or KEY SCOPE SCOPE."
    )
    publish: str | None = Field(
        default=None,
        description="The address under which a container's port is published, to judge who reaches "
        "it; empty: the address listened on.",
    )
    open: bool = Field(
        default=False,
        description="Whether to serve other machines without API keys, which is refused otherwise.",
    )
    hosts: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(), description="Host names served, separated by commas; empty: any."
    )
    cors_origins: Annotated[frozenset[Origin], NoDecode] = Field(
        default=frozenset(),
        description="Origins of other sites whose pages may call the service, separated by commas; "
        "*: any; empty: none.",
    )
    docs: bool = Field(default=True, description="Whether to serve /docs and /openapi.json.")
    tracing_endpoint: str | None = Field(
        default=None,
        pattern="^https?://.",
        description="The OTLP/HTTP address to send traces to; empty: no tracing.",
    )
    tracing_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of requests to trace, of those without a traceparent.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level that is logged."
    )
    log_format: LogFormat = Field(
        default="auto", description="text, json, or auto: text on a terminal, json elsewhere."
    )

    @field_validator("hosts", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            parts = (part.strip().lower().removesuffix("/") for part in value.split(","))
            return frozenset(part for part in parts if part)
        return value

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, hosts: frozenset[str]) -> frozenset[str]:
        if any(re.search(r":[0-9]*\Z|/", host) for host in hosts):
            raise ValueError("names alone, without a scheme or a port: every port is accepted")
        return hosts

    @model_validator(mode="after")
    def _check_live(self) -> Self:
        if self.live and (self.workers > 1 or self.second_bundle):
            raise ValueError(
                "TUSOU_LIVE needs TUSOU_WORKERS=1 and no TUSOU_AB_BUNDLE or TUSOU_AB_QUERY_ENCODER"
            )
        if self.live and self.bundle is not None and not isinstance(self.bundle, Path):
            raise ValueError("TUSOU_LIVE needs a bundle in a folder, where changes are logged")
        return self

    @property
    def second_bundle(self) -> BundleLocation | None:
        """The second bundle: the one named, or the first again with another query encoder."""
        return self.ab_bundle or (self.bundle if self.ab_query_encoder else None)

    def live_options(self) -> LiveOptions | None:
        """Return the bundle whose items can be changed while it is served, if they can."""
        if not self.live or not isinstance(self.bundle, Path):
            return None
        return LiveOptions(self.bundle, self.compact_mb * 2**20)

    def reachable_host(self) -> str:
        """Return the host under which clients reach the service."""
        return self.host if self.publish is None else self.publish.rpartition(":")[0].strip("[]")

    def batching(self) -> BatchLimits:
        """Return the limits of the micro-batcher."""
        return BatchLimits(
            self.max_batch,
            self.queue_size,
            self.stall_s,
            self.target_ms / 1000 if self.target_ms else None,
        )


def describe_settings() -> str:
    """Return a line for each setting: its variable, its meaning and its default."""
    fields = Settings.model_fields.items()
    return "\n\n".join(
        f"TUSOU_{name.upper()} ({_default(field.default)}): {field.description}"
        for name, field in fields
    )


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value or value == 0 else "none"


def renamed_variables() -> dict[str, str]:
    """Return the new name of each variable that is set by its old name."""
    names = {name.upper(): name for name in os.environ}
    return {names[old]: new for old, new in RENAMED_VARIABLES.items() if old in names}


def unknown_variables() -> list[str]:
    """Return unknown `TUSOU_*` variables (probably typos)."""
    known = {f"TUSOU_{name}".upper() for name in Settings.model_fields}
    return sorted(
        name
        for name in os.environ
        if name.upper().startswith("TUSOU_") and name.upper() not in known
    )


def isolate_processes() -> None:
    """Let the processes started from now on import nothing from the current folder."""
    os.environ["PYTHONSAFEPATH"] = "1"


def choose_hub(hub: HubName | None) -> None:
    """Let this process, and those started from now on, download models from a hub."""
    if hub is not None:
        os.environ["TUSOU_HUB"] = hub


def share_metrics(folder: str) -> None:
    """Let the processes started from now on keep their metrics in one folder."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
