"""The files of the hub correction in a version, and the vectors that its index is filled with."""

from pathlib import Path

import numpy as np

from tusou.bundle.array_file import save_array
from tusou.bundle.biased_vectors import Bias, biased_array
from tusou.bundle.stages import HUB_BIAS, QUERY_BANK
from tusou.core.arrays import Vectors
from tusou.stages.hub_bias import HubCorrection


def write_hub_files(bias: Bias, bank: Vectors, folder: Path) -> None:
    """Write the items' biases (n,) and the bank of queries (m, d) into a version's folder."""
    save_array(folder / HUB_BIAS, bias.astype("<f2")[:, np.newaxis])
    save_array(folder / QUERY_BANK, bank.astype("<f4", copy=False))


def correct_hubs(vectors: Vectors, correction: HubCorrection | None, folder: Path) -> Vectors:
    """Write the files of a hub correction; return the vectors to fill the index with.

    Without a correction these are the items' own, `vectors` (n, d).
    """
    if correction is None:
        return vectors
    bias = correction.bias(vectors)
    write_hub_files(bias, correction.bank, folder)
    return biased_array(vectors, bias, folder.parent)
