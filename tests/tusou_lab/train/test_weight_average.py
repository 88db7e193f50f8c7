"""The moving average of weights: its values, its swap, and what is validated and saved."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.step_spec import StepSpec
from tusou_lab.train.weight_average import WeightAverage

from tusou.encoders.checkpoint import read_tensors


def test_the_decay_rises_to_its_limit_and_the_weights_come_back() -> None:
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
    average = WeightAverage(layer, 0.25)
    expected = 0.0
    for step in range(1, 5):
        with torch.no_grad():
            layer.weight.fill_(step)
        average.update()
        decay = min(0.25, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    with average.applied():
        torch.testing.assert_close(layer.weight.detach(), torch.tensor([[expected]]))
    assert layer.weight.item() == 4
    again = WeightAverage(nn.Linear(1, 1, bias=False), 0.25)
    again.load_state_dict(average.state_dict())
    assert int(again.steps) == 4


def test_the_average_is_saved_in_place_of_the_last_weights(
    data: str, tiny_model: Path, tmp_path: Path
) -> None:
    spec = TrainSpec(str(tiny_model), 1, 8, 1e-3, 0.05, 7, "fp32")
    spec = replace(spec, stopping=replace(spec.stopping, keep_start=False))
    last, average = tmp_path / "last.pt", tmp_path / "average.pt"
    train(data, spec, last, device="cpu")
    train(data, replace(spec, step=StepSpec(ema=0.999)), average, device="cpu")
    start, end, mean = (read_tensors(path) for path in (tiny_model, last, average))
    name = "visual.proj"
    moved, averaged = ((each[name] - start[name]).float().norm() for each in (end, mean))
    assert 0 < averaged < moved
