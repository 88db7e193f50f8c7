"""Students in place of a bundle's text encoder: what must agree, and the search that suits them."""

import logging
from dataclasses import replace

from tusou.bundle.manifest import INDEX, Manifest
from tusou.core.errors import IncompatibleBundle
from tusou.encoders import TextEncoder
from tusou.encoders.student.folder import Student
from tusou.indexes.specs import FaissSpec, IndexSpec, format_tuning, parse_tuning

_log = logging.getLogger(__name__)

# Another precision or processor stays above this cosine.
_GOLDEN_COSINE = 0.99


def check_student(manifest: Manifest, student: Student) -> None:
    """Raise IncompatibleBundle unless the student's teacher encodes the queries of the bundle."""
    teacher, model = student.record.teacher, manifest.model
    if not manifest.has_encoder:
        raise IncompatibleBundle(
            f"the bundle holds vectors without a model, and {student.path} is a student of "
            f"{teacher.name}: index the vectors again with --model"
        )
    if (teacher.sha256, teacher.dim) != (model.sha256, model.dim):
        raise IncompatibleBundle(
            f"{student.path} is a student of {teacher.name} (sha256 {teacher.sha256[:12]}), and "
            f"the bundle was made with {model.name} (sha256 {model.sha256[:12]}): make a student "
            "of this model with `tusou distil`"
        )
    if teacher.templates != manifest.templates:
        taught = " | ".join(teacher.templates) or "none"
        raise IncompatibleBundle(
            f"{student.path} gives the vectors of queries under the prompt {taught!r}, and the "
            f"prompt of the bundle is {manifest.prompt_text or 'none'!r}: make a student for this "
            "bundle with `tusou distil`"
        )


def check_golden(student: Student, encoder: TextEncoder) -> None:
    """Raise IncompatibleBundle unless this machine gives the student's golden vectors; BadModel."""
    texts, expected = student.golden
    vectors = encoder.encode(encoder.prepare(texts))
    lowest = float((vectors * expected).sum(axis=1).min())
    if not lowest >= _GOLDEN_COSINE:
        raise IncompatibleBundle(
            f"this machine encodes the golden texts of {student.path} differently (cosine "
            f"{lowest:.4f}); check the installed torch, openvino and cn_clip, or distil it again"
        )


def tuned_for(student: Student, spec: IndexSpec) -> IndexSpec:
    """Return the index's specification with the search parameters that the student's record has.

    They are used for later versions with the same factory, too. Parameters are only raised. See
    `warn_of_tuning`.
    """
    tuning = student.record.tuning
    if tuning is None or not isinstance(spec, FaissSpec) or spec.factory != tuning.factory:
        return spec
    raised = parse_tuning(spec.tuning)
    for name, value in parse_tuning(tuning.tuning).items():
        raised[name] = max(value, raised.get(name, value))
    return replace(spec, tuning=format_tuning(raised))


def warn_of_tuning(student: Student, spec: IndexSpec, manifest: Manifest) -> str | None:
    """Return and log a warning if the index was not tuned for the student; None if it was.

    An exact index needs no tuning.
    """
    tuning = student.record.tuning
    if not isinstance(spec, FaissSpec) or manifest.index.index_recall_at_10 is None:
        return None
    if tuning is None or tuning.factory != spec.factory:
        state = (
            f"the index ({spec.factory}) was not tuned for the queries of {student.path}, which "
            "may find less in it than was measured"
        )
    elif tuning.index_sha256 != manifest.files[INDEX].sha256:
        state = (
            f"{student.path} was tuned for another version of the index, and its search parameters "
            "were not measured on this one"
        )
    else:
        return None
    warning = f"{state}; repeat `tusou distil` with this version of the bundle"
    _log.warning("%s", warning)
    return warning
