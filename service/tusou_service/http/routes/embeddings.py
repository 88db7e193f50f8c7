"""POST /v1/embeddings, compatible with OpenAI's clients."""

import asyncio
from base64 import b64encode
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Path as PathParameter

from tusou.core.arrays import Vectors
from tusou.core.errors import BadImage, ErrorDetail, InvalidRequest, NotReady, Unavailable
from tusou_service.engine.engine import SearchEngine
from tusou_service.http.dependencies import (
    QUERY_ERRORS,
    DeadlineDep,
    EngineDep,
    charge_queries,
    json_body,
    json_request_body,
)
from tusou_service.http.errors import NotFound, error_responses
from tusou_service.http.list_responses import list_response
from tusou_service.http.query_builder import normalize_texts
from tusou_service.http.request_models import MAX_IMAGES, EmbeddingRequest
from tusou_service.http.schemas import (
    EmbeddingItem,
    EmbeddingResponse,
    ModelCard,
    ModelList,
    TokenUsage,
)

router = APIRouter(tags=["embeddings"])

_DATA_URI = "data:image/"
ModelIdParameter = Annotated[
    str, PathParameter(description="A name that GET /v1/models lists.", examples=["ViT-B-16"])
]


@router.post(
    "/v1/embeddings",
    responses=error_responses(*QUERY_ERRORS, BadImage, Unavailable),
    response_model=EmbeddingResponse,
    openapi_extra=json_request_body(EmbeddingRequest),
)
async def embeddings(
    request: Request,
    body: Annotated[EmbeddingRequest, Depends(json_body(EmbeddingRequest))],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> Response:
    """Return the unit vectors of texts and of images given as data URIs."""
    bundle = engine.pipeline.bundle
    if body.dimensions not in (None, bundle.dim):
        message = f"The model's vectors have {bundle.dim} numbers: leave dimensions out."
        raise InvalidRequest(details=[ErrorDetail(("body", "dimensions"), "unsupported", message)])
    inputs = [body.input] if isinstance(body.input, str) else body.input
    charge_queries(request, len(inputs))
    vectors, tokens = await _encode(inputs, engine, deadline)
    if engine.pipeline.bundle.version != bundle.version:
        raise NotReady("The index has just changed; send the request again.")
    items = (
        EmbeddingItem(index=n, embedding=_encode_vector(vector, body.encoding_format))
        for n, vector in enumerate(vectors)
    )
    usage = TokenUsage(prompt_tokens=tokens, total_tokens=tokens)
    outer = EmbeddingResponse(data=[], model=engine.pipeline.encoder_name, usage=usage)
    return await list_response(outer, "data", items)


def _encode_vector(vector: Vectors, encoding: str) -> list[float] | str:
    if encoding == "base64":
        return b64encode(vector.astype("<f4").tobytes()).decode()
    values: list[float] = vector.tolist()
    return values


@router.get("/v1/models", responses=error_responses(NotReady))
async def models(engine: EngineDep) -> ModelList:
    """Return the model that encodes queries, in OpenAI's format."""
    return ModelList(data=[ModelCard(id=engine.pipeline.encoder_name)])


@router.get("/v1/models/{model_id:path}", responses=error_responses(NotReady, NotFound))
async def model(model_id: ModelIdParameter, engine: EngineDep) -> ModelCard:
    """Return the model of that name, if it is the one that encodes queries."""
    if model_id != engine.pipeline.encoder_name:
        message = "Another model is served; GET /v1/models names it."
        raise NotFound(details=[ErrorDetail(("path", "model_id"), "unknown_model", message)])
    return ModelCard(id=model_id)


async def _encode(
    inputs: list[str], engine: SearchEngine, deadline: float
) -> tuple[list[Vectors], int]:
    """Return the vectors in the order of the inputs, and the number of tokens of all texts."""
    images = {n: value for n, value in enumerate(inputs) if value.startswith(_DATA_URI)}
    if len(images) > MAX_IMAGES:
        message = f"A call takes at most {MAX_IMAGES} images."
        raise InvalidRequest(details=[ErrorDetail(("body", "input"), "too_many_images", message)])
    texts = normalize_texts(
        {n: value for n, value in enumerate(inputs) if n not in images}, "input"
    )
    embedded = await engine.encode_texts(list(texts.values()), deadline) if texts else None
    encoded_images = await asyncio.gather(
        *(engine.images.encode_image(uri, deadline) for uri in images.values())
    )
    vectors = dict(zip(images, [image.vector for image in encoded_images], strict=True))
    if embedded:
        vectors |= zip(texts, embedded.vectors, strict=True)
    return [vectors[n] for n in range(len(inputs))], sum(embedded.tokens) if embedded else 0
