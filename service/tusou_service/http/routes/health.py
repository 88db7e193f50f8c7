"""GET /healthz, /readyz, /metrics and /info, and POST /admin/reload."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from tusou import __version__
from tusou.bundle.bundle import Bundle
from tusou.bundle.calibration_file import QueryKind
from tusou.core.errors import (
    CorruptBundle,
    IncompatibleBundle,
    IndexUnavailable,
    InsufficientMemory,
    NotReady,
    StorageFull,
    StoreUnreachable,
)
from tusou.encoders.student.folder import Student
from tusou_service.engine.interfaces import Pipeline, ReloadResult
from tusou_service.http.dependencies import EngineDep
from tusou_service.http.errors import error_responses
from tusou_service.http.schemas import (
    HealthResponse,
    InfoResponse,
    MeasuredPrecisionInfo,
    ModelInfo,
    RandomScores,
    ReadyResponse,
    ReloadResponse,
    StudentInfo,
)

if TYPE_CHECKING:
    from tusou_service.experiment.ab_test import Experiment

router = APIRouter(tags=["operations"])

# Paths on this machine are private; digests of files are for `tusou verify`.
_PRIVATE_FIELDS: dict[str, Any] = {
    "files": True,
    "source": {"path"},
    "model": {"location": True, "members": {"__all__": {"location"}}},
    "index": {"collection": {"uri"}},
}


@router.get("/healthz")
async def healthz() -> HealthResponse:
    """Return 200 while the process runs, even if it is still loading."""
    return HealthResponse()


@router.get("/readyz", responses=error_responses(NotReady, IndexUnavailable))
async def readyz(request: Request, engine: EngineDep) -> ReadyResponse:
    """Return 200 if the service takes requests: loaded, warm, worker alive, not stopping.

    A server that searches the index is asked, too.
    """
    version = engine.pipeline.view.index_version
    await engine.check_index()
    if not (request.state.experiment or engine).ready:
        raise NotReady("The service is loading, stopping or failing.")
    return ReadyResponse(index_version=version, images=engine.images.state)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **error_responses()},
)
async def metrics(engine: EngineDep) -> Response:
    """Return the metrics in Prometheus's text format."""
    return Response(engine.metrics.expose(), media_type=CONTENT_TYPE_LATEST)


@router.get("/info", responses=error_responses(NotReady))
def info(engine: EngineDep) -> InfoResponse:  # in a thread: the first call reads a sample
    """Return the versions, model, index and item count of the service."""
    pipeline = engine.pipeline
    bundle, view = pipeline.bundle, pipeline.view
    takes_images = engine.images.state != "unavailable"
    sample = bundle.sample
    attributes = bundle.attributes
    image_score = sample.item_score if takes_images and bundle.items == "images" else None
    return InfoResponse(
        tusou_version=__version__,
        index_version=view.index_version,
        item_count=view.item_count,
        precision=pipeline.precision,
        precision_measured=_describe_measured(pipeline),
        backend=pipeline.backend,
        model=bundle.model_name,
        models=_describe_models(bundle),
        query_encoder=_describe_student(pipeline.student, pipeline.student_warning),
        id_type=bundle.id_type,
        items=bundle.items,
        accepts=_accepted_parts(bundle, takes_images=takes_images),
        sample_item_ids=tuple(
            item_id for item_id in sample.item_ids if view.find(str(item_id)) is not None
        ),
        random_scores=RandomScores(
            text=sample.text_score, image=image_score, item=sample.item_score
        ),
        relevance=_relevance_kind(pipeline),
        attributes=dict(view.schema),
        facets=attributes.facet_names if attributes else (),
        manifest=bundle.manifest.model_dump(mode="json", exclude=_PRIVATE_FIELDS),
    )


def _describe_student(student: Student | None, warning: str | None) -> StudentInfo | None:
    if student is None:
        return None
    retention = student.record.retention
    return StudentInfo(
        name=student.name,
        size=student.record.size,
        sha256=student.sha256,
        teacher=student.record.teacher.name,
        retention=None if retention is None else retention.model_dump(mode="json"),
        warning=warning,
    )


def _describe_measured(pipeline: Pipeline) -> tuple[MeasuredPrecisionInfo, ...]:
    """Return what was measured for the models of the bundle; nothing for a student."""
    return tuple(
        MeasuredPrecisionInfo(
            model=model.name, precision=measured.precision, **measured.model_dump()
        )
        for model, measured in zip(pipeline.bundle.models, pipeline.measured, strict=False)
        if measured is not None
    )


def _describe_models(bundle: Bundle) -> tuple[ModelInfo, ...]:
    return tuple(
        ModelInfo(
            name=model.name,
            family=model.family,
            license=model.license,
            non_commercial=model.is_non_commercial,
        )
        for model in bundle.models
    )


def _relevance_kind(pipeline: Pipeline) -> QueryKind | None:
    """Return the kind of queries whose hits get a relevance: no texts that a student encodes."""
    calibration = pipeline.bundle.calibration
    if calibration is None or (pipeline.student and calibration.query_kind == "texts"):
        return None
    return calibration.query_kind


def _accepted_parts(bundle: Bundle, *, takes_images: bool) -> tuple[str, ...]:
    if not bundle.manifest.has_encoder:
        return "item", "vector"
    return ("text", "image", "item", "vector") if takes_images else ("text", "item", "vector")


@router.post(
    "/admin/reload",
    response_model_exclude_none=True,
    responses=error_responses(
        CorruptBundle,
        IncompatibleBundle,
        IndexUnavailable,
        InsufficientMemory,
        StorageFull,
        NotReady,
        StoreUnreachable,
    ),
)
async def reload(request: Request, engine: EngineDep) -> ReloadResponse:
    """Change to the bundle's current version; no request is dropped."""
    experiment: Experiment | None = request.state.experiment
    if experiment is None:
        results = _reload_fields(await engine.versions.reload())
    else:
        first, second = await experiment.reload()
        results = {**_reload_fields(first), "b": _reload_fields(second)}
    if request.state.on_reload:
        request.state.on_reload()
    return ReloadResponse.model_validate(results)


def _reload_fields(result: ReloadResult | None) -> dict[str, object]:
    if result is None:
        return {"status": "failed"}
    return {
        "status": "swapped" if result.changed else "unchanged",
        "index_version": result.version,
        "previous_version": result.previous,
    }
