"""The official MUGE scorer, as cn_clip ships it."""

import gc
import warnings
from pathlib import Path


def official_score(golden: Path, submitted: Path) -> list[float] | str:
    """Return mean recall and recall at 1, 5 and 10, or the message of the scorer's error."""
    from cn_clip.eval.evaluation import compute_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the scorer leaves its file open
        try:
            return list(compute_score(golden, submitted))
        except Exception as error:  # noqa: BLE001 - the scorer raises bare errors of many types
            message = str(error)
        gc.collect()  # the error held the open file until here
        return message
