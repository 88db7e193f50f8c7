"""The share of a model that is trained: all of it, without a frozen tower, or adapters alone."""

import re
from contextlib import AbstractContextManager, nullcontext

from torch import nn

from tusou.core.errors import InvalidRequest
from tusou_lab.train.depth import depth_of, layer_of
from tusou_lab.train.lora import Adapters, LoraSettings
from tusou_lab.train.models import TrainableModel

FROZEN = ("none", "vision", "text")
LAYERS = re.compile(r"layers:(\d+)")  # the first layers of both towers


class TrainedShare:
    """The parameters that are trained, and the modes of the network's modules.

    With adapters, these alone are trained, and parameters that no training has touched yet. In a
    frozen tower dropout is off, and statistics of batches do not change; they do not change beside
    adapters either, which are all that is saved. Frozen parameters take no gradients.
    """

    def __init__(self, model: TrainableModel, freeze: str, lora: LoraSettings | None) -> None:
        """Take what to freeze, as `is_frozen` does.

        Raises InvalidRequest if nothing would be frozen or trained, or if a tower has fewer layers.
        """
        self._network, self._adapters = model.network, None
        _check_depth(model, freeze)
        names = [name for name, _ in model.network.named_parameters()]
        frozen = {name for name in names if is_frozen(model, freeze, name)}
        if freeze != "none" and not frozen:
            raise InvalidRequest(f"The model has nothing that --freeze {freeze} would freeze.")
        self._still = [
            module
            for name, module in model.network.named_modules()
            if (name and is_frozen(model, freeze, f"{name}."))
            or (lora and hasattr(module, "running_var"))
        ]
        # The trained parameters, which a run that resumes needs.
        self.module: nn.Module = model.network
        if lora is None:
            for name, parameter in model.network.named_parameters():
                parameter.requires_grad_(name not in frozen)
        else:
            self.module = self._adapters = Adapters(
                model.network, lora, frozen, model.traits.fresh - frozen
            )

    @property
    def parameter_count(self) -> int:
        """Count the numbers that are trained."""
        return sum(p.numel() for p in self.module.parameters() if p.requires_grad)

    def set_training_mode(self) -> None:
        """Put the network into training mode, except for its frozen parts."""
        self._network.train()
        for module in self._still:
            module.training = False

    def merged(self) -> AbstractContextManager[None]:
        """Give the network the weights that are saved, within the block."""
        return nullcontext() if self._adapters is None else self._adapters.merged()


def _check_depth(model: TrainableModel, freeze: str) -> None:
    """Raise InvalidRequest for more layers than a tower has: the whole tower would be frozen."""
    match = LAYERS.fullmatch(freeze)
    vision, text = depth_of(model, "vision"), depth_of(model, "text")
    if match is None or int(match.group(1)) <= min(vision, text):
        return
    raise InvalidRequest(
        f"--freeze {freeze}: the image tower has {vision} layers and the text tower {text}; give "
        f"at most layers:{min(vision, text)}, or freeze a whole tower with --freeze vision or "
        "--freeze text"
    )


def is_frozen(model: TrainableModel, freeze: str, name: str) -> bool:
    """Return whether `freeze` names a parameter, or a module if the name ends with a dot.

    It is `vision`, `text`, `none`, or `layers:N`: what comes before the first layer of each tower,
    and its first N layers.
    """
    layers = LAYERS.fullmatch(freeze)
    if layers is None:
        return model.part_of(name) == freeze
    layer = layer_of(model, name)
    return layer is not None and layer <= int(layers.group(1))
