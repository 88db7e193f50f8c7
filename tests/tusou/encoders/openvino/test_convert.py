"""Conversion in a process of its own opens the weights that the caller resolved."""

from pathlib import Path

import pytest

from tusou.core.errors import BadModel
from tusou.encoders import find_weights

convert = pytest.importorskip("tusou.encoders.openvino.convert")


def test_the_weights_are_opened_again_by_their_path_and_digest(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"weights")
    for name in (f"{tmp_path}/a.pt", f"open_clip:ViT-B-32@{tmp_path}/a.pt"):
        weights = find_weights(name)
        architecture = [weights.open_clip] if weights.open_clip else []
        opened = convert._open(weights.path, weights.digest, *architecture)
        assert (opened.digest, opened.open_clip) == (weights.digest, weights.open_clip)


def test_another_file_or_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"weights")
    weights = find_weights(f"open_clip:ViT-B-32@{tmp_path}/a.pt")
    with pytest.raises(BadModel, match="changed while it was read"):
        convert._open(weights.path, weights.digest, "ViT-B-32-quickgelu")
    (tmp_path / "a.pt").write_bytes(b"other weights")
    with pytest.raises(BadModel, match="changed while it was read"):
        convert._open(weights.path, weights.digest, "ViT-B-32")
