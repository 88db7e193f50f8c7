"""The core of the method in a few lines; reports print these functions."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def normalize(features: Matrix) -> Matrix:
    """Return unit vectors: their inner product is the cosine similarity."""
    lengths: Matrix = np.linalg.norm(features, axis=1, keepdims=True)
    return features / lengths


def search(queries: Matrix, items: Matrix, k: int) -> NDArray[np.int64]:
    """Return the positions of the k most similar items of each query, best first."""
    similarity = normalize(queries) @ normalize(items).T
    return np.argsort(-similarity, axis=1, kind="stable")[:, :k]


def recall_at_k(ranked: NDArray[np.int64], correct: list[set[int]], k: int) -> float:
    """Return the share of queries with a correct item among the first k."""
    hits = [not answers.isdisjoint(row[:k]) for row, answers in zip(ranked, correct, strict=True)]
    return float(np.mean(hits))


def contrastive_loss(images: Matrix, texts: Matrix, scale: float) -> float:
    """Return the loss of a batch whose n-th image and n-th text are a pair."""
    logits = scale * normalize(texts) @ normalize(images).T

    def cross_entropy(rows: Matrix) -> float:
        shifted = rows - rows.max(axis=1, keepdims=True)
        log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -float(np.mean(np.diag(log_softmax)))

    return (cross_entropy(logits) + cross_entropy(logits.T)) / 2
