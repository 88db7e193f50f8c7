"""POST /v1/embeddings, in the form of OpenAI's API: its official clients work unchanged."""

import asyncio
from base64 import b64encode
from typing import Annotated

from fastapi import APIRouter, Depends

from tusou.core.arrays import Vectors
from tusou.core.errors import BadImage, ErrorDetail, InvalidRequest, NotReady, Unavailable
from tusou_service.engine.engine import SearchEngine
from tusou_service.http.dependencies import (
    QUERY_REFUSALS,
    DeadlineDep,
    EngineDep,
    json_body,
    json_request_body,
)
from tusou_service.http.errors import error_responses
from tusou_service.http.schemas import (
    MAX_IMAGES,
    EmbeddingItem,
    EmbeddingRequest,
    EmbeddingResponse,
    TokenUsage,
    normalize_all,
)

router = APIRouter(tags=["embeddings"])

_DATA_URI = "data:image/"
_BASE64 = ";base64,"


@router.post(
    "/v1/embeddings",
    responses=error_responses(*QUERY_REFUSALS, BadImage, Unavailable),
    openapi_extra=json_request_body(EmbeddingRequest),
)
async def embeddings(
    body: Annotated[EmbeddingRequest, Depends(json_body(EmbeddingRequest))],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> EmbeddingResponse:
    """Return the unit vectors of texts and of images given as data URIs."""
    _check(body)
    inputs = [body.input] if isinstance(body.input, str) else body.input
    status = engine.status()
    vectors, tokens = await _encode(inputs, engine, deadline)
    if engine.status().version != status.version:
        raise NotReady("The index has just changed; send the request again.")
    as_text = body.encoding_format == "base64"
    return EmbeddingResponse(
        data=[
            EmbeddingItem(index=n, embedding=_base64(vector) if as_text else vector.tolist())
            for n, vector in enumerate(vectors)
        ],
        model=status.model_name,
        usage=TokenUsage(prompt_tokens=tokens, total_tokens=tokens),
    )


def _check(body: EmbeddingRequest) -> None:
    if body.dimensions is not None:
        said = "The model's vectors have one length and cannot be cut; leave dimensions out."
        raise InvalidRequest(details=[ErrorDetail(("body", "dimensions"), "unsupported", said)])


async def _encode(
    inputs: list[str], engine: SearchEngine, deadline: float
) -> tuple[list[Vectors], int]:
    """Encode texts and images, each kind together; return vectors in order, tokens in sum."""
    images = {n: one for n, one in enumerate(inputs) if one.startswith(_DATA_URI)}
    if len(images) > MAX_IMAGES:
        said = f"A call takes at most {MAX_IMAGES} images."
        raise InvalidRequest(details=[ErrorDetail(("body", "input"), "too_many_images", said)])
    texts = normalize_all({n: one for n, one in enumerate(inputs) if n not in images}, "input")
    read = await engine.embed(list(texts.values()), deadline) if texts else []
    seen = await asyncio.gather(
        *(engine.encode_image(one.partition(_BASE64)[2], deadline) for one in images.values())
    )
    vectors = dict(zip(texts, [one.vector for one in read], strict=True))
    vectors |= zip(images, [one.vector for one in seen], strict=True)
    return [vectors[n] for n in range(len(inputs))], sum(one.tokens for one in read)


def _base64(vector: Vectors) -> str:
    return b64encode(vector.astype("<f4").tobytes()).decode()
