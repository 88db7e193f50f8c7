"""A tower's least memory is that of its weights, and less than what it takes."""

import pytest

from tests.tusou.encoders.conftest import Sample
from tusou.encoders.footprint import Tower, least_memory


@pytest.mark.parametrize(("tower", "ours"), [("text", True), ("image", False)])
def test_counts_the_weights_of_one_tower(tiny: Sample, tower: Tower, ours: bool) -> None:
    numbers = sum(
        one.numel()
        for name, one in tiny.stock.state_dict().items()
        if name != "logit_scale" and not name.startswith("bert.pooler")
        if name.startswith("visual.") is not ours
    )
    assert least_memory(tiny.path, tower, "cpu", "fp32") == 4 * numbers
    assert least_memory(tiny.path, tower, "cpu", "bf16") == 2 * numbers
