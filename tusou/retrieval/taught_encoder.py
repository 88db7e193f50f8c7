"""A student as the encoder of queries, beside its teacher for texts that are items."""

from functools import cached_property

from tusou.bundle.bundle import Bundle
from tusou.core.memory_budget import check_memory
from tusou.encoders import ResolvedModel, TextEncoder, open_text_model, without_prompt
from tusou.encoders.student.folder import Student
from tusou.retrieval.compatibility import check_golden_texts


class TaughtEncoder:
    """Opens the student, and its teacher when a text is to be encoded as an item."""

    def __init__(self, student: Student, teacher: ResolvedModel, bundle: Bundle) -> None:
        self.student, self._teacher = student, teacher
        # Read now: the version's folder may be deleted before the model is loaded.
        self._manifest, self._golden = bundle.manifest, bundle.golden

    def open(self, precision: str, backend: str) -> TextEncoder:
        """Load the student on the device of its teacher; BadModel."""
        return self.student.open_encoder(self._teacher.device, precision, backend)

    @cached_property
    def model(self) -> TextEncoder:
        """The text encoder of the model, without a prompt, loaded at the first use.

        Raises InsufficientMemory, and IncompatibleBundle where it does not reproduce the vectors of
        the golden texts.
        """
        check_memory(self._teacher.min_memory)
        encoder = open_text_model(self._teacher, self._manifest.templates)
        check_golden_texts(self._manifest.model.parts, self._golden, encoder)
        return without_prompt(encoder)
