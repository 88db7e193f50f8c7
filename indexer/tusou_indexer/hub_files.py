"""The files of the hub correction in a version, and the vectors that its index is filled with."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tusou.bundle.array_file import save_array
from tusou.bundle.biased_vectors import Bias, biased_array
from tusou.bundle.stages import HUB_BIAS, QUERY_BANK
from tusou.core.arrays import Vectors
from tusou.stages.hub_bias import HubCorrection
from tusou.stages.inverted_softmax import nearest_items

Mask = npt.NDArray[np.bool_]


def write_hub_files(bias: Bias, bank: Vectors, folder: Path, nearest: Mask | None = None) -> None:
    """Write the items' biases (n,) and the bank of queries (m, d) into a version's folder.

    With an inverted softmax, `nearest` (n,) are the items nearest to a query of the bank.
    """
    columns = [bias] if nearest is None else [bias, nearest]
    save_array(folder / HUB_BIAS, np.column_stack(columns).astype("<f2"))
    save_array(folder / QUERY_BANK, bank.astype("<f4", copy=False))


def correct_hubs(
    vectors: Vectors, correction: HubCorrection | None, folder: Path, *, softmax: bool = False
) -> Vectors:
    """Write the files of a hub correction; return the vectors to fill the index with.

    Without a correction these are the items' own, `vectors` (n, d). With `softmax` the files are
    those of an inverted softmax, too.
    """
    if correction is None:
        return vectors
    bias = correction.bias(vectors)
    nearest = nearest_items(vectors, correction.bank) if softmax else None
    write_hub_files(bias, correction.bank, folder, nearest)
    return biased_array(vectors, bias, folder.parent)
