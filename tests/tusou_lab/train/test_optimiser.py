"""Optimiser settings and learning rates as in cn_clip."""

import pytest
import torch
from torch import nn
from tusou_lab.train.optimiser import learning_rate, make_optimiser


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(4)
        self.dense = nn.Linear(4, 4)
        self.logit_scale = nn.Parameter(torch.ones([]))


@pytest.mark.parametrize(
    ("transformer", "betas", "eps"), [(True, (0.9, 0.98), 1e-6), (False, (0.9, 0.999), 1e-8)]
)
def test_settings_depend_on_the_image_tower(
    transformer: bool, betas: tuple[float, float], eps: float
) -> None:
    model = Small()
    optimiser = make_optimiser(model, 1e-3, 0.2, transformer=transformer)
    undecayed, decayed = optimiser.param_groups
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.0, 0.2]
    assert {id(p) for p in decayed["params"]} == {id(model.dense.weight)}
    assert len(undecayed["params"]) == 4
    assert {(group["betas"], group["eps"]) for group in optimiser.param_groups} == {(betas, eps)}


def test_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    rates = [learning_rate(step, 100, 1.0) for step in range(101)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5] == 1.0
    assert rates[52] == pytest.approx(0.5, abs=0.02)
    assert rates[100] == 0.0
    assert rates[5:] == sorted(rates[5:], reverse=True)
