"""A minimal service: FastAPI, stock cn_clip and IndexFlatIP, one query at a time.

MODEL=checkpoint.pt VECTORS=vectors.npy uvicorn benchmarks.plain_service:app
"""

import os

import faiss
import numpy as np
import torch
from cn_clip.clip import tokenize
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.stock import load_stock

model = load_stock(os.environ["MODEL"])
vectors = np.load(os.environ["VECTORS"])
index = faiss.IndexFlatIP(vectors.shape[1])
index.add(vectors)
app = FastAPI()


class PlainQuery(BaseModel):
    """One query."""

    query: str
    top_k: int = 10


@app.get("/readyz")
def readyz() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/search")
async def search(body: PlainQuery) -> dict[str, list[float]]:
    """Encode and search in the event loop, which is faster here than a thread pool."""
    with torch.inference_mode():
        features = torch.nn.functional.normalize(model.encode_text(tokenize([body.query])))
    scores, ids = index.search(features.numpy(), body.top_k)
    return {"item_ids": ids[0].tolist(), "scores": scores[0].tolist()}
