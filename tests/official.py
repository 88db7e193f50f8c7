"""The official MUGE scorer, as cn_clip ships it."""

import gc
import warnings
from pathlib import Path


def official_score(golden: Path, submitted: Path) -> list[float] | str:
    """Return mean recall and recall at 1, 5 and 10, or what it fails with."""
    from cn_clip.eval.evaluation import compute_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file open
        try:
            return list(compute_score(golden, submitted))
        except Exception as error:  # noqa: BLE001 - it raises whatever happens to it
            said = str(error)
        gc.collect()  # the error held the open file until here
        return said
