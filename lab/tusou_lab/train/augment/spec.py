"""The names of the augmentation policies for images and texts."""

from dataclasses import dataclass
from typing import Self

from tusou.core.errors import InvalidRequest
from tusou_lab.train.augment.images import IMAGE_POLICIES
from tusou_lab.train.augment.texts import TEXT_POLICIES

_NONE = "none"


@dataclass(frozen=True, slots=True)
class AugmentSpec:
    """The policies of a training, in the order in which they are applied."""

    augment_images: tuple[str, ...] = ("shift", "flip")
    augment_texts: tuple[str, ...] = ()

    @classmethod
    def parse(cls, images: str | None, texts: str | None) -> Self:
        """Read names separated by commas, `none`, or None for the default; InvalidRequest."""
        default = cls()
        return cls(
            default.augment_images
            if images is None
            else _parse("--augment-images", images, tuple(IMAGE_POLICIES)),
            default.augment_texts
            if texts is None
            else _parse("--augment-text", texts, tuple(TEXT_POLICIES)),
        )


def _parse(option: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    if names == [_NONE]:
        return ()
    for name in names:
        if name not in known:
            raise InvalidRequest(
                f"{option}: {name!r} is not one of {', '.join(known)}; give {_NONE} by itself"
            )
    # In one order, so that runs with the same policies are the same.
    return tuple(name for name in known if name in names)
