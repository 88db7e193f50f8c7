"""The ResNet image tower of RN50, computed by cn_clip's own module."""

from collections.abc import Mapping

import torch
from cn_clip.clip.model import ModifiedResNet, convert_weights
from torch import Tensor

from tusou.core.errors import BadModel
from tusou.encoders.architecture import ImageShape

_PREFIX = "visual."


class ResNetTower:
    """Normalised images (n, 3, size, size) to features (n, dim), in float32 or float16."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        shape: ImageShape,
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        assert isinstance(shape.vision_layers, tuple)
        with torch.device("meta"):
            self._visual = ModifiedResNet(
                layers=shape.vision_layers,
                output_dim=shape.embed_dim,
                heads=shape.vision_width * 32 // shape.vision_head_width,
                input_resolution=shape.image_resolution,
                width=shape.vision_width,
            )
        weights = {
            name.removeprefix(_PREFIX): tensor.to(
                device, torch.float32 if tensor.is_floating_point() else None, copy=True
            )
            for name, tensor in tensors.items()
            if name.startswith(_PREFIX)
        }
        try:
            self._visual.load_state_dict(weights, assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise BadModel(f"incomplete cn_clip checkpoint: {reason}") from error
        self._visual.eval().requires_grad_(requires_grad=False)
        if precision == torch.float16:
            convert_weights(self._visual)  # batch norms stay in float32
        self._precision = precision

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 features."""
        features: Tensor = self._visual(images.to(self._precision))
        return features.float()
