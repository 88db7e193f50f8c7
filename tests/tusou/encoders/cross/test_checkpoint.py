"""Files of cross-encoders: read as they were written, and refused where they do not belong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tusou.core.errors import BadModel
from tusou.encoders.cross.checkpoint import read_cross, save_cross
from tusou.encoders.cross.network import CrossNetwork
from tusou.encoders.cross.shape import CrossShape

SHAPE = CrossShape(text_width=48, image_width=40, grid=4, pool=2, width=64, layers=2)
TOWERS = "a" * 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(2)
    network = CrossNetwork(SHAPE, dropout=0.1)
    torch.nn.init.normal_(network.head.weight)
    path = tmp_path / "重排.pt"
    save_cross(path, network, TOWERS, {"epoch": 3, "valid mean_recall": 61.5})
    return path


def test_a_file_gives_the_network_back(file: Path) -> None:
    torch.manual_seed(2)
    network = CrossNetwork(SHAPE)
    torch.nn.init.normal_(network.head.weight)
    read = read_cross(file, [TOWERS])
    assert (read.towers, read.network.shape) == (TOWERS, SHAPE)
    assert read.training == {"epoch": 3, "valid mean_recall": 61.5}
    assert not read.network.training
    text, images = torch.randn(1, 5, 64), torch.randn(1, 4, 5, 64)
    cosines = torch.rand(1, 4)
    assert torch.equal(read.network(text, images, cosines), network.eval()(text, images, cosines))


def test_a_file_of_other_towers_is_refused(file: Path) -> None:
    with pytest.raises(BadModel, match="aaaaaaaaaaaa, not bbbbbbbbbbbb"):
        read_cross(file, ["b" * 64])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda c: c.update(kind="x"), "this version", id="another kind"),
        pytest.param(lambda c: c["shape"].update(pool=3), "impossible shape", id="pool"),
        pytest.param(lambda c: c["shape"].update(width=2**40), "impossible shape", id="width"),
        pytest.param(lambda c: c["shape"].pop("grid"), "impossible shape", id="no grid"),
        pytest.param(lambda c: c["shape"].update(layers=3), "its shape", id="a layer more"),
        pytest.param(lambda c: c["state_dict"].pop("scale"), "its shape", id="a tensor less"),
        pytest.param(lambda c: c.update(state_dict=5), "its shape", id="no tensors"),
        pytest.param(
            lambda c: c["state_dict"]["head.bias"].fill_(torch.nan), "numbers", id="not a number"
        ),
    ],
)
def test_a_file_of_other_content_is_refused(
    file: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    content = torch.load(file, weights_only=True)
    change(content)
    torch.save(content, file)
    with pytest.raises(BadModel, match=message):
        read_cross(file, [TOWERS])


def test_files_that_are_no_cross_encoder_are_refused(file: Path, tiny_model: Path) -> None:
    with pytest.raises(BadModel, match="this version"):
        read_cross(tiny_model)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(BadModel, match="cut off or damaged"):
        read_cross(file)
    file.unlink()
    with pytest.raises(BadModel, match="cannot read"):
        read_cross(file)
