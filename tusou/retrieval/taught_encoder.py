"""A student as the encoder of queries, beside its teacher for texts that are items."""

from functools import cached_property

from tusou.core.memory_budget import check_memory
from tusou.encoders import ResolvedModel, TextEncoder, open_text_model
from tusou.encoders.student.folder import Student


class TaughtEncoder:
    """Opens the student, and its teacher when a text is to be encoded as an item."""

    def __init__(self, student: Student, teacher: ResolvedModel) -> None:
        self.student, self._teacher = student, teacher

    def open(self, precision: str, backend: str) -> TextEncoder:
        """Load the student on the device of its teacher; BadModel."""
        return self.student.open_encoder(self._teacher.device, precision, backend)

    @cached_property
    def model(self) -> TextEncoder:
        """The text encoder of the model, without a prompt, loaded at the first use.

        Raises InsufficientMemory.
        """
        check_memory(self._teacher.min_memory)
        return open_text_model(self._teacher)
