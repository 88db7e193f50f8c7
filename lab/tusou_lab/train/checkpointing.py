"""Activation checkpointing: layers keep only their input, and compute the rest again."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tusou.core.errors import InvalidRequest
from tusou_lab.train.optimiser import training_attention

# A layer of a transformer, by its name in cn_clip, transformers, open_clip or timm.
_LAYER = re.compile(r"(?:^|\.)(?:layers?|resblocks|blocks)\.\d+$")


def checkpoint_layers(network: nn.Module, device: torch.device) -> None:
    """Make each layer of a network's transformers keep only its input for the backward pass.

    The device is the one that it is trained on. The gradients stay the same: dropout draws the same
    numbers again. Raises InvalidRequest for a network without transformers.
    """
    layers = [module for name, module in network.named_modules() if _LAYER.search(name)]
    if not layers:
        raise InvalidRequest("--checkpointing needs transformer layers, and the model has none")
    for layer in layers:
        # Not the methods of the libraries: some use the older kind, which loses the gradients of
        # adapters where the input of a layer needs none.
        forward = partial(_in_training_attention, layer.forward, device)
        layer.forward = partial(checkpoint, forward, use_reentrant=False)


def _in_training_attention(
    forward: Callable[..., Any], device: torch.device, *inputs: Any, **options: Any
) -> Any:
    # The second pass is run by autograd, outside the block that chose the attention of the first.
    with training_attention(device):
        return forward(*inputs, **options)
