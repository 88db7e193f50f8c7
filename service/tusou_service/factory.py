"""Builds the parts of the service from its settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tusou.bundle.local_copy import current_version_of, local_folder
from tusou.bundle.location import BundleLocation
from tusou.core.errors import InputError
from tusou.core.lazy_import import extras_named
from tusou_service.engine.engine import SearchEngine
from tusou_service.engine.interfaces import EncoderKind, Pipeline
from tusou_service.experiment.ab_test import Experiment, ExperimentPlan
from tusou_service.http.auth import ApiKeys
from tusou_service.server import ServiceParts
from tusou_service.settings import Settings

if TYPE_CHECKING:
    from tusou_service.observability.tracing import SpanTracer


@dataclass(frozen=True, slots=True)
class BundleSource:
    """Opens the version that the CURRENT of a bundle names."""

    location: BundleLocation
    model: str | None
    query_encoder: Path | None  # the folder of a student
    settings: Settings

    @property
    def encoder_kind(self) -> EncoderKind:
        """Return whether the bundle's model or a student encodes queries."""
        return "student" if self.query_encoder else "teacher"

    def current_version(self) -> str:
        """Read CURRENT; CorruptBundle, StoreUnreachable."""
        return current_version_of(self.location)

    def open(self) -> Pipeline:
        """Verify and load the current version; CorruptBundle, IncompatibleBundle.

        A bundle in a store is downloaded first: StoreUnreachable, StorageFull. Raises
        InvalidRequest or BadModel for a query encoder that is not a student.
        """
        from tusou.encoders.student.folder import open_student  # noqa: PLC0415 - likewise
        from tusou.indexes.specs import MilvusAccess  # noqa: PLC0415 - likewise
        from tusou.retrieval.pipeline import SearchPipeline  # noqa: PLC0415 - imports numpy and more
        from tusou.stages.endpoint_spec import EndpointAccess  # noqa: PLC0415 - likewise

        return SearchPipeline.open(
            local_folder(self.location, self.settings.cache_dir),
            device=self.settings.device,
            model=self.model,
            precision=self.settings.precision,
            backend=self.settings.backend,
            cache_size=self.settings.cache_queries,
            milvus=MilvusAccess(self.settings.milvus_uri, self.settings.milvus_timeout_ms / 1000),
            endpoint=EndpointAccess(
                self.settings.rerank_url, self.settings.rerank_key_file, self.settings.cache_dir
            ),
            student=open_student(self.query_encoder) if self.query_encoder else None,
        )


def make_parts(settings: Settings, keys: ApiKeys | None) -> ServiceParts:
    """Build the parts of one server process; InputError, MissingDependency."""
    if settings.bundle is None:
        raise InputError(
            "No bundle to serve: pass its folder or s3:// address, or set TUSOU_BUNDLE."
        )
    source = BundleSource(settings.bundle, settings.model, settings.query_encoder, settings)
    images = settings.image_queries
    limit = settings.max_image_megapixels
    engine = SearchEngine(
        source,
        settings.batching(),
        images,
        None,
        limit,
        settings.live_options(),
        source.encoder_kind,
    )
    experiment = None
    if settings.second_bundle:
        model = settings.ab_model or (None if settings.ab_bundle else settings.model)
        source = BundleSource(settings.second_bundle, model, settings.ab_query_encoder, settings)
        second = SearchEngine(
            source,
            settings.batching(),
            images,
            engine,
            limit,
            query_encoder=source.encoder_kind,
        )
        plan = ExperimentPlan(settings.ab_mode, settings.ab_share, settings.ab_name or "")
        experiment = Experiment(engine, second, plan)
    return ServiceParts(engine, keys, make_tracer(settings), experiment)


def make_tracer(settings: Settings) -> "SpanTracer | None":
    """Build the tracer, if an address for traces is set; MissingDependency."""
    if settings.tracing_endpoint is None:
        return None
    with extras_named("otel"):
        from tusou_service.observability.tracing import open_tracer  # noqa: PLC0415 - an extra

        return open_tracer(settings.tracing_endpoint, settings.tracing_share)
