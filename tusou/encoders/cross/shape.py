"""The shape of a cross-encoder, and the tokens that it takes from the towers."""

from dataclasses import dataclass

from tusou.core.errors import InvalidRequest
from tusou.encoders.architecture import ImageShape, TextShape

HEAD_WIDTH = 32
MAX_LAYERS = 12
_NARROW, _WIDE = 128, 256


@dataclass(frozen=True, slots=True)
class CrossShape:
    """Sizes of a cross-encoder's tensors."""

    text_width: int  # of the text tower's tokens
    image_width: int  # of the image tower's tokens
    grid: int  # patches along a side of the image
    pool: int  # patches along a side of the square that is averaged to one token
    width: int  # of the tokens within the cross-encoder
    layers: int

    @property
    def heads(self) -> int:
        return self.width // HEAD_WIDTH

    @property
    def image_tokens(self) -> int:
        """The number of tokens of an image, the class token first."""
        return 1 + (self.grid // self.pool) ** 2

    @property
    def numbers_per_item(self) -> int:
        """The numbers of an item's tokens."""
        return self.image_tokens * self.width

    @property
    def bytes_per_item(self) -> int:
        """The bytes of an item's tokens in half precision."""
        return 2 * self.numbers_per_item


def shape_over(text: TextShape, image: ImageShape, layers: int) -> CrossShape:
    """Return the shape of a new cross-encoder over two towers.

    Raises InvalidRequest for a ResNet, which has no tokens of patches.
    """
    if image.vision_patch_size is None:
        raise InvalidRequest(
            "A cross-encoder needs the patch tokens of a vision transformer: use another model "
            "than RN50."
        )
    grid = image.image_resolution // image.vision_patch_size
    narrow = max(text.text_hidden_size, image.vision_width) <= _WIDE
    return CrossShape(
        text_width=text.text_hidden_size,
        image_width=image.vision_width,
        grid=grid,
        pool=1 if grid % 2 else 2,
        width=_NARROW if narrow else _WIDE,
        layers=layers,
    )
