"""The settings of a training step, and checks that a model supports them."""

from dataclasses import dataclass

from tusou.core.errors import InvalidRequest
from tusou_lab.train.models import TrainableModel


@dataclass(frozen=True, slots=True)
class StepSpec:
    """The settings of a step."""

    grad_cache: int = 0  # rows that a tower encodes at once; 0: the whole batch
    accumulate: int = 1  # batches whose gradients are averaged before an update
    checkpointing: bool = False  # compute activations again in the backward pass
    mask_patches: float = 0.0  # share of an image's patches that are left out
    layer_decay: float = 1.0  # factor of the learning rate from each layer to the one before
    ema: float = 0.0  # decay of the average of weights that is validated and saved; 0: none

    def check(self, model: TrainableModel, *, lora: bool) -> None:
        """Raise InvalidRequest for a setting that the model or adapters do not support."""
        if self.mask_patches and not model.traits.can_mask:
            raise InvalidRequest("--mask-patches is for Chinese-CLIP with a ViT: leave it out")
        if self.layer_decay != 1 and lora:
            raise InvalidRequest(
                "--layer-decay does not apply to adapters: leave it out with --lora"
            )
