"""Trained weights as a folder that transformers reads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from torch import nn
from transformers.utils import logging

from tusou.encoders.base import Weights
from tusou_lab.train.models.folder import WEIGHTS, copy_settings, match_precision


def write_transformers(weights: Weights, network: nn.Module, out: Path) -> None:
    """Write a network into an empty folder, beside the other files that it came with."""
    copy_settings(weights.path, out)
    state = match_precision(out, network.state_dict())
    save = cast("Callable[..., None]", network.save_pretrained)
    with TemporaryDirectory(dir=out) as folder, _without_bars():
        save(folder, state_dict=state)  # by the names that the library reads
        for path in Path(folder).iterdir():
            if path.name.endswith(WEIGHTS):
                path.rename(out / path.name)


@contextmanager
def _without_bars() -> Iterator[None]:
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()
