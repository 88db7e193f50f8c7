"""Methods that fuse the rankings of several runs into one score for each item.

rrf: G. Cormack et al., Reciprocal Rank Fusion (2009). combsum, combmnz: E. Fox and J. Shaw,
Combination of Multiple Searches (1994).
"""

from typing import Literal, TypeAlias

import numpy as np

from tusou_lab.fuse.candidates import Candidates, Scores

Method: TypeAlias = Literal["rrf", "combsum", "combmnz", "votes", "weights"]
Normalisation: TypeAlias = Literal["minmax", "zscore", "rank"]

# The constant of the paper: how little the first ranks differ.
RRF_K = 60
# Reciprocal ranks times this decide between equal votes alone.
_SMALL = 1e-6


def needs_scores(method: Method, normalisation: Normalisation) -> bool:
    """Return whether a fusion reads the scores of the runs, not only their ranks."""
    return method not in ("rrf", "votes") and normalisation != "rank"


def normalise(candidates: Candidates, how: Normalisation) -> Scores:
    """Return each run's scores on a common scale, (u, r), higher is better.

    minmax and rank are from 0 to 1, and 0 for an item that a run does not return; zscore has mean 0
    and standard deviation 1 over the items of a run, and such an item gets the lowest of them.
    """
    returned, count = candidates.returned, candidates.returned.sum(axis=0)
    if how == "rank":
        return np.where(returned, 1 - (candidates.ranks - 1) / np.maximum(count, 1), 0.0)
    scores = candidates.scores
    low = np.min(scores, axis=0, where=returned, initial=np.inf)
    if how == "minmax":
        high = np.max(scores, axis=0, where=returned, initial=-np.inf)
        with np.errstate(invalid="ignore"):
            scaled = _divide(scores - low, high - low, otherwise=1.0)
        return np.where(returned, scaled, 0.0)
    total = np.maximum(count, 1)
    mean = np.sum(scores, axis=0, where=returned) / total
    spread = np.sqrt(np.sum((scores - mean) ** 2, axis=0, where=returned) / total)
    filled = np.where(returned, scores, np.where(count > 0, low, 0.0))
    return _divide(filled - np.where(count > 0, mean, 0.0), spread, otherwise=0.0)


def fused_scores(
    candidates: Candidates, method: Method, normalisation: Normalisation, weights: Scores
) -> Scores:
    """Return the fused score of each item, (u,), higher is better; `weights` is (r,).

    votes: the weights of the runs that return the item; of equal votes, rrf decides.
    """
    returned = candidates.returned
    if method in ("rrf", "votes"):
        reciprocal = np.where(returned, 1 / (RRF_K + candidates.ranks), 0.0) @ weights
        if method == "rrf":
            return reciprocal
        return returned @ weights + _SMALL * reciprocal
    total = normalise(candidates, normalisation) @ weights
    return total * returned.sum(axis=1) if method == "combmnz" else total


def _divide(values: Scores, divisor: Scores, *, otherwise: float) -> Scores:
    result: Scores = np.full(values.shape, otherwise)
    usable = np.broadcast_to(np.greater(divisor, 0), values.shape)
    return np.divide(values, divisor, out=result, where=usable)
