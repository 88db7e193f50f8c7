"""Selection of the backend, device and precision that compute a tower, before it is loaded."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.util import find_spec
from typing import cast

from tusou.bundle.model_record import EncoderRecord
from tusou.core.errors import BadModel, InvalidRequest, MissingDependency, TusouError
from tusou.core.hardware import is_x86
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import ImageShape, LibraryShape, TextShape, Tower, TowerShape
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.calibrated_precision import CALIBRATED, graph_of, number_format
from tusou.encoders.devices import pick_device, pick_precision
from tusou.encoders.families import find_family
from tusou.encoders.openvino.calibrated_graph import require_calibrated
from tusou.encoders.openvino.precision_file import MeasuredPrecision, read_measured
from tusou.images.preprocess import MEAN, STD, Channels
from tusou.images.transform import ImageTransform

BACKENDS = ("auto", "torch", "openvino")

_OPENVINO_PRECISIONS = ("fp32", "bf16", "int8", CALIBRATED)
_RESNET_PRECISIONS = ("fp32", "fp16")
_LIBRARY_PRECISIONS = ("fp32", "bf16", "fp16")
_MEASURE = LazyImport("tusou.encoders.openvino.measure:measure_precision")
_BYTES_PER_PARAMETER = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1, CALIBRATED: 1}


@dataclass(frozen=True, slots=True)
class ResolvedEncoder:
    """A tower of a checkpoint, and the backend, device and precision that compute it."""

    weights: Weights
    shape: TowerShape
    parameter_count: int
    backend: str  # torch, openvino, or the library that runs it: transformers, open_clip
    device: str  # cpu, cuda or cuda:N
    precision: str  # fp32, bf16, fp16, int8, or int8-calibrated with the digest of its graph
    record: EncoderRecord | None = None  # None: Chinese-CLIP, as cn_clip runs it
    # The measurement that `auto` chose the precision by; None if it made none.
    measured: MeasuredPrecision | None = field(default=None, compare=False)

    @property
    def tower(self) -> Tower:
        """Return which of the model's two towers this is."""
        return self.shape.tower

    @property
    def transform(self) -> ImageTransform:
        """The transform of the model's images."""
        if self.record is not None:
            return self.record.transform.as_transform
        if isinstance(self.shape, ImageShape):
            return ImageTransform(self.shape.image_resolution)
        return image_transform(self.weights)

    @property
    def mean(self) -> Channels:
        """The mean of each channel that is subtracted, on the scale from 0 to 1."""
        return self.record.mean if self.record else MEAN

    @property
    def std(self) -> Channels:
        """The deviation of each channel that it is divided by."""
        return self.record.std if self.record else STD

    @property
    def variant(self) -> str:
        """A digest of what the tower computes beyond its weights; empty for Chinese-CLIP."""
        return encoder_variant(self.shape, self.record)

    def open_tokenizer(self) -> Tokenizer:
        """Open the tokenizer of a text tower; BadModel if the tower has no room for its tokens."""
        tokenizer = find_family(self.weights).open_tokenizer(self.weights)
        if isinstance(self.shape, TextShape):
            _check_fit(self.shape, tokenizer)
        return tokenizer

    @property
    def min_memory(self) -> int:
        """Return the bytes of main memory that the parameters take; 0 if a GPU holds them."""
        on_cpu = self.device == "cpu"
        size = _BYTES_PER_PARAMETER[number_format(self.precision)]
        return self.parameter_count * size if on_cpu else 0


def resolve_encoder(
    weights: Weights,
    tower: Tower,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
) -> ResolvedEncoder:
    """Read a tower's shape from its checkpoint, and replace every `auto` by a choice.

    Device is `auto`, `cpu`, `cuda` or `cuda:N`. Precision is `fp32`, `bf16`, `fp16`, `int8` (by
    OpenVINO on a processor with VNNI or AMX: faster, and some ranks change), `int8-calibrated` with
    the digest of a graph beside the weights (of texts it is int8), or `auto`: fp16 on a
    GPU, bf16 on a processor with AMX or AVX512-bf16 if the tower is large enough to gain, else
    fp32. Where OpenVINO would compute in bf16 by this rule, the first call measures both and keeps
    the result beside the weights, which takes some seconds. Backend is `torch`, `openvino`
    (processors only; the first load converts the weights and stores the result beside them), or
    `auto`, the fastest that is installed.

    A model that is not of Chinese-CLIP's or CLIP's shape is run by its library: the backend is its
    name.

    Raises BadModel for files that are not a model, InvalidRequest for arguments that
    are unknown or exclude each other, and MissingDependency when OpenVINO is needed and not
    installed.
    """
    family = find_family(weights)
    shape = family.read_shape(weights, tower)
    library = shape.library if isinstance(shape, LibraryShape) else None
    if backend not in {*BACKENDS, library}:
        raise InvalidRequest(f"No backend {backend!r}: use {', '.join(BACKENDS)}.")
    device = pick_device(device)
    if tower == "text" and number_format(precision) == CALIBRATED:
        precision = "int8"  # calibrated scales make texts no faster
    # The convolutions of a ResNet have no bf16 code path.
    gains = shape.is_transformer and shape.heavy
    picked = pick_precision(precision, device, gains_from_bf16=gains)
    resolved = ResolvedEncoder(
        weights,
        shape,
        family.count_parameters(weights, tower),
        _pick_backend(backend, shape, device, picked),
        device,
        picked,
        family.describe(weights),
    )
    if number_format(picked) == CALIBRATED:
        _check_calibrated(resolved)
    may_be_slower = precision == "auto" and (resolved.backend, picked) == ("openvino", "bf16")
    return _with_faster_precision(resolved) if may_be_slower else resolved


def _check_calibrated(resolved: ResolvedEncoder) -> None:
    """Raise InvalidRequest where no graph is named, BadModel where it is not beside the weights."""
    digest = graph_of(resolved.precision)
    if digest is None:
        raise InvalidRequest(
            "int8-calibrated is calibrated with a pool: use `tusou index` with images, or another "
            "precision"
        )
    require_calibrated(resolved.weights, digest, resolved.variant)


def encoder_variant(shape: TowerShape, record: EncoderRecord | None) -> str:
    """Return the `variant` of a tower before it is resolved."""
    if record is None:
        return ""
    return sha256(repr((shape, record.mean, record.std)).encode()).hexdigest()[:8]


def _with_faster_precision(resolved: ResolvedEncoder) -> ResolvedEncoder:
    """Return the tower in the precision that was faster here; as it is without a measurement."""
    measured = read_measured(resolved.weights, resolved.tower, resolved.variant)
    if measured is None:
        measure = cast("Callable[[ResolvedEncoder], MeasuredPrecision | None]", _MEASURE.load())
        measured = measure(resolved)
    if measured is None:
        return resolved
    return replace(resolved, precision=measured.precision, measured=measured)


def _check_fit(shape: TextShape, tokenizer: Tokenizer) -> None:
    """Raise BadModel for a tower with fewer tokens or positions than its tokenizer uses."""
    if shape.vocab_size < tokenizer.vocab_size:
        raise BadModel(
            f"the model has {shape.vocab_size} tokens; its vocabulary has {tokenizer.vocab_size}"
        )
    if shape.positions < tokenizer.context:
        raise BadModel(
            f"the model has fewer than the {tokenizer.context} text positions that are needed"
        )


def describe_encoder(weights: Weights) -> EncoderRecord | None:
    """Return the settings of a model that its weights do not show; None for Chinese-CLIP."""
    return find_family(weights).describe(weights)


def image_transform(weights: Weights) -> ImageTransform:
    """Return the transform of the images that the image tower takes, without loading it."""
    family = find_family(weights)
    record = family.describe(weights)
    if record is not None:
        return record.transform.as_transform
    shape = family.read_shape(weights, "image")
    assert isinstance(shape, ImageShape)
    return ImageTransform(shape.image_resolution)


def _pick_backend(backend: str, shape: TowerShape, device: str, precision: str) -> str:
    if isinstance(shape, LibraryShape):
        return _check_library(backend, shape.library, precision)
    if not shape.is_transformer and precision not in _RESNET_PRECISIONS:
        allowed = ", ".join(_RESNET_PRECISIONS)
        raise InvalidRequest(
            f"A ResNet image tower computes in {allowed}, not {precision}: use one of these, or "
            "auto."
        )
    int8 = number_format(precision) in {"int8", CALIBRATED}
    if backend == "torch" and int8:
        raise InvalidRequest(
            "int8 is computed by OpenVINO alone: use the backend openvino or auto, with tusou[cpu] "
            "installed, or another precision."
        )
    openvino_error = _openvino_error(shape, device, precision)
    if backend == "openvino" or int8:
        if openvino_error:
            raise openvino_error
        return "openvino"
    # docs/performance.md has the measurements.
    openvino_is_faster = is_x86() and shape.gains_from_compiling and not openvino_error
    return "openvino" if backend == "auto" and openvino_is_faster else "torch"


def _check_library(backend: str, library: str, precision: str) -> str:
    """Return the library that runs a tower as its backend; InvalidRequest, MissingDependency."""
    if backend not in {"auto", library}:
        raise InvalidRequest(
            f"This model is computed by {library}, not by {backend}: use the backend auto."
        )
    if precision not in _LIBRARY_PRECISIONS:
        allowed = ", ".join(_LIBRARY_PRECISIONS)
        raise InvalidRequest(
            f"{library} computes in {allowed}, not {precision}: use one of these, or auto."
        )
    if find_spec(library) is None:
        raise MissingDependency(
            f"this model is computed by {library}, which is not installed: install tusou[models]"
        )
    return library


def _openvino_error(shape: TowerShape, device: str, precision: str) -> TusouError | None:
    """Return why OpenVINO cannot compute a tower, or None if it can."""
    if device != "cpu":
        return InvalidRequest(
            "OpenVINO computes on processors: use the device cpu, or the backend auto or torch."
        )
    if not shape.is_transformer:
        return InvalidRequest(
            "OpenVINO cannot compute a ResNet image tower here: use the backend auto or torch."
        )
    if number_format(precision) not in _OPENVINO_PRECISIONS:
        allowed = ", ".join(_OPENVINO_PRECISIONS)
        return InvalidRequest(
            f"OpenVINO computes in {allowed}, not {precision}: use one of these, or the backend "
            "auto or torch."
        )
    if find_spec("openvino") is None:
        int8 = number_format(precision) in {"int8", CALIBRATED}
        needs = f"precision {precision} needs OpenVINO, which" if int8 else "OpenVINO"
        return MissingDependency(f"{needs} is not installed: install tusou[cpu]")
    return None
