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


def test_the_fused_update_is_that_of_separate_operations() -> None:
    """On a CPU the weights are updated in one pass, to the same values."""
    torch.manual_seed(1)
    ours, plain = Small(), Small()
    plain.load_state_dict(ours.state_dict())
    fused = make_optimiser(ours, 1e-3, 0.2, transformer=True)
    assert all(group["fused"] for group in fused.param_groups)
    groups = make_optimiser(plain, 1e-3, 0.2, transformer=True).param_groups
    separate = torch.optim.AdamW(
        [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in groups],
        lr=1e-3,
        betas=(0.9, 0.98),
        eps=1e-6,
    )
    for step in range(5):
        for pair in zip(ours.parameters(), plain.parameters(), strict=True):
            gradient = torch.randn_like(pair[0]) * (step + 1)
            for parameter in pair:
                parameter.grad = gradient.clone()
        fused.step()
        separate.step()
    for mine, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-7)
