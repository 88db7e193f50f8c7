"""Settings from TUSOU_* variables; nothing else in the project reads the environment."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tusou_service.engine.micro_batcher import BatchLimits
from tusou_service.experiment.ab_test import ExperimentMode, ExperimentPlan
from tusou_service.http.limits import LARGE_BODIES, ConnectionLimits, RequestLimits
from tusou_service.images.query_encoder import ImagePolicy

# Of docker-compose.yml, which hands the whole of its .env on.
OF_COMPOSE = frozenset(
    {"TUSOU_IMAGES", "TUSOU_MODELS", "TUSOU_MEMORY", "TUSOU_PUBLISH", "TUSOU_METRICS_KEY"}
)

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """How to run; what to serve is written in the bundle."""

    model_config = SettingsConfigDict(
        env_prefix="TUSOU_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    bundle: Path | None = Field(default=None, description="The bundle folder to serve.")
    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port; 0 takes a free one.")
    device: str = Field(
        default="auto", description="Where the model runs: auto, cpu, cuda, cuda:1."
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = Field(
        default="auto",
        description="Of the model; auto is what the device multiplies fastest, int8 aside.",
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        default="auto",
        description="What computes the model: torch, openvino (processors only), or auto: "
        "openvino where it is installed and the faster.",
    )
    model: str | None = Field(
        default=None,
        description="A model in place of the one the bundle names; its weights must match.",
    )

    image_queries: ImagePolicy = Field(
        default="auto",
        description="Queries with images: off, lazy (the first loads the image tower), on; "
        "auto is on where items are texts, else lazy.",
    )

    ab_bundle: Path | None = Field(default=None, description="A second bundle, to compare.")
    ab_model: str | None = Field(
        default=None, description="Where that bundle's weights are, if not where it says."
    )
    ab_mode: ExperimentMode = Field(
        default="split", description="split: users are divided; shadow: b is asked unseen."
    )
    ab_share: float = Field(
        default=0.5, ge=0, le=1, description="Share of users, or in the shadow of searches, for b."
    )
    ab_name: str | None = Field(
        default=None, max_length=64, description="The trial's name; another one draws users anew."
    )

    max_batch: Count = Field(default=64, description="Queries in one pass of the model.")
    queue_size: Count = Field(default=1024, description="Queries that may wait; more are refused.")
    timeout_ms: int = Field(
        default=2000, ge=1, le=30_000, description="Time limit of a search whose client names none."
    )
    cache_queries: int = Field(
        default=10_000, ge=0, description="Queries whose vectors are kept in memory; 0: none."
    )
    stall_s: Seconds = Field(
        default=10,
        description="A batch older than this, and than 5 times the longest there can be, ends the "
        "process.",
    )

    max_body_bytes: Count = Field(default=64 * 1024, description="Cap on the body of /search.")
    max_batch_body_bytes: Count = Field(
        default=1024 * 1024, description="Cap on the body of /search/batch."
    )
    max_header_bytes: Count = Field(
        default=16 * 1024, description="Cap on a request's headers together."
    )
    max_connections: Count = Field(
        default=2048, description="Connections at once; more are refused."
    )
    header_s: Seconds = Field(default=5, description="Time a client has to send its headers.")
    body_s: Seconds = Field(default=10, description="Time a client has to send its body.")
    keep_alive_s: Count = Field(default=5, description="Idle time before a connection is closed.")
    write_s: Seconds = Field(default=20, description="Time a client may refuse to read its answer.")

    rate_per_s: float = Field(
        default=0, ge=0, description="Search calls a second of one client; 0: no limit."
    )
    rate_burst: Count = Field(default=20, description="Search calls of one client at once.")

    drain_s: float = Field(
        default=2,
        ge=0,
        description="Time between SIGTERM, which ends readiness, and closing the port.",
    )
    shutdown_s: Count = Field(
        default=25, description="Time that requests in flight have to finish."
    )

    api_keys: Path | None = Field(default=None, description="A file of API keys, one a line.")
    hosts: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(), description="Host names served, separated by commas; empty: any."
    )
    docs: bool = Field(default=True, description="Whether /docs and /openapi.json exist.")
    tracing_endpoint: str | None = Field(
        default=None,
        pattern="^https?://.",
        description="The OTLP/HTTP address that traces go to; none: no tracing.",
    )
    tracing_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of requests traced, of those that no caller decided about.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least serious lines logged."
    )

    @field_validator("hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return frozenset(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    def batching(self) -> BatchLimits:
        """Return the part that the batcher takes."""
        return BatchLimits(self.max_batch, self.queue_size, self.stall_s)

    def requests(self) -> RequestLimits:
        """Return the part that the front door takes."""
        return RequestLimits(
            body_bytes=self.max_body_bytes,
            batch_body_bytes=self.max_batch_body_bytes,
            header_bytes=self.max_header_bytes,
            body_seconds=self.body_s,
            timeout_seconds=self.timeout_ms / 1000,
            hosts=self.hosts,
            rate_per_second=self.rate_per_s,
            rate_burst=self.rate_burst,
            large_bodies=LARGE_BODIES,
        )

    def experiment_plan(self) -> ExperimentPlan:
        """Return how the second bundle is compared, if there is one."""
        return ExperimentPlan(self.ab_mode, self.ab_share, self.ab_name or "")

    def connections(self) -> ConnectionLimits:
        """Return the part that the HTTP protocol takes."""
        return ConnectionLimits(
            header_seconds=self.header_s,
            body_seconds=self.body_s,
            write_seconds=self.write_s,
            header_bytes=self.max_header_bytes,
            connections=self.max_connections,
        )


def unknown_variables() -> list[str]:
    """Name the variables that look like settings and are none: most likely mistyped."""
    known = OF_COMPOSE.union(f"TUSOU_{name}".upper() for name in Settings.model_fields)
    return sorted(
        name
        for name in os.environ
        if name.upper().startswith("TUSOU_") and name.upper() not in known
    )
