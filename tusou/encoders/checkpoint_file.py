"""A checkpoint that is opened once: digest, shapes and tensors are of the same bytes."""

from functools import cached_property

from tusou.encoders.checkpoint_shapes import TensorShape, read_shapes
from tusou.encoders.open_file import OpenFile


class CheckpointFile(OpenFile):
    """An open checkpoint, whose shapes are read once."""

    @cached_property
    def shapes(self) -> dict[str, TensorShape] | None:
        """The shapes of the model's tensors; None for a file that torch has to read or refuse."""
        with self.open() as file:
            return read_shapes(file)
