"""Describes a model: its family and towers, what it was converted from, and its training."""

from dataclasses import dataclass

from tusou.bundle.model_record import EncoderRecord, forbids_commercial_use
from tusou.encoders.architecture import ImageShape, TextShape, Tower, TowerShape
from tusou.encoders.base import Weights
from tusou.encoders.conversion_record import ConversionRecord, read_conversion
from tusou.encoders.families import find_family
from tusou.encoders.families.license import find_license
from tusou.encoders.openvino.precision_file import MeasuredPrecision, read_measured
from tusou.encoders.select_backend import encoder_variant, image_transform
from tusou.encoders.soup_record import SoupRecord, read_soup
from tusou.encoders.training_record import TrainingRecord, read_record
from tusou.encoders.weights import find_weights

_CN_CLIP = "cn_clip's"  # settings without a record in the model


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The digest of a model, the shapes of its towers, and the records about it."""

    weights: Weights
    family: str
    towers: dict[Tower, TowerShape]
    parameters: dict[Tower, int]
    image_size: int
    license: str | None  # as its files name it
    encoder: EncoderRecord | None  # None: Chinese-CLIP, as cn_clip runs it
    conversion: ConversionRecord | None
    training: TrainingRecord | None
    soup: SoupRecord | None
    measured: dict[Tower, MeasuredPrecision]  # by which `auto` chooses on this processor

    @property
    def changed(self) -> bool:
        """Return whether the model is no longer the one that the record of training is about."""
        return self.training is not None and self.training.checkpoint_sha256 != self._trained

    @property
    def _trained(self) -> str:
        """The digest of the model that was trained, which may have been converted since."""
        conversion = self.conversion
        if conversion is not None and conversion.training == self.training:
            return conversion.source_sha256
        return self.weights.digest

    def as_json(self) -> dict[str, object]:
        """Return everything as one JSON object."""
        return {
            "checkpoint": str(self.weights.path),
            "sha256": self.weights.digest,
            "family": self.family,
            "dim": self.towers["image"].embed_dim,
            "image_size": self.image_size,
            "parameters": self.parameters,
            "license": self.license,
            "encoder": self.encoder.model_dump() if self.encoder else None,
            "conversion": self.conversion.model_dump() if self.conversion else None,
            "changed_since_training": self.changed,
            "training": self.training.model_dump() if self.training else None,
            "soup": self.soup.model_dump() if self.soup else None,
            "auto_precision": {
                tower: {"precision": each.precision, **each.model_dump()}
                for tower, each in self.measured.items()
            },
        }

    def rows(self) -> dict[str, str]:
        """Return the lines of a readable summary: label -> text."""
        rows = {
            "sha256": self.weights.digest,
            "family": self.family,
            "dimensions": str(self.towers["image"].embed_dim),
        }
        for tower in ("image", "text"):
            size = f"{self.parameters[tower]:,} parameters"
            rows[f"{tower} tower"] = f"{self._describe(self.towers[tower])}, {size}"
        rows |= {f"auto, {tower} tower": str(each) for tower, each in self.measured.items()}
        rows["licence"] = self.license or "not named in its files"
        rows |= _encoder_rows(self.encoder)
        if forbids_commercial_use(self.license):
            rows["warning"] = "the licence forbids commercial use"
        if (made := self.conversion) is not None:
            rows["converted from"] = (
                f"{made.source} (sha256 {made.source_sha256[:12]}) by {made.tool} on {made.date}"
            )
        if self.soup is not None:
            rows["soup"] = _describe_soup(self.soup)
        if self.training is None:
            return rows | {"training": "not recorded: no file beside the model"}
        if self.changed:
            return rows | {"training": "the record beside it is about another model"}
        return rows | _training_rows(self.training)

    def _describe(self, shape: TowerShape) -> str:
        if isinstance(shape, TextShape):
            return f"{shape.text_num_hidden_layers} layers, {shape.text_hidden_size} wide"
        pixels = f"{self.image_size} pixels, " if shape.tower == "image" else ""
        if not isinstance(shape, ImageShape):
            return f"{pixels}run by {shape.library}"
        layers = shape.vision_layers
        depth = f"{layers} layers" if isinstance(layers, int) else f"stages of {layers} blocks"
        return f"{pixels}{depth}, {shape.vision_width} wide"


def describe_model(model: str) -> ModelFacts:
    """Read what a model's files and the records beside it say; errors as for `find_weights`."""
    weights = find_weights(model)
    family = find_family(weights)
    towers: tuple[Tower, ...] = ("image", "text")
    conversion = read_conversion(weights.path)
    if conversion is not None and conversion.sha256 != weights.digest:
        conversion = None
    soup = read_soup(weights.path)
    training = read_record(weights.path)
    if training is None and conversion is not None:
        training = conversion.training
    record = family.describe(weights)
    shapes = {tower: family.read_shape(weights, tower) for tower in towers}
    measured = {
        tower: read_measured(weights, tower, encoder_variant(shape, record))
        for tower, shape in shapes.items()
    }
    return ModelFacts(
        weights,
        family.name,
        shapes,
        {tower: family.count_parameters(weights, tower) for tower in towers},
        image_transform(weights).side,
        record.license if record else find_license(weights),
        record,
        conversion,
        training,
        soup if soup and soup.sha256 == weights.digest else None,
        {tower: measurement for tower, measurement in measured.items() if measurement is not None},
    )


def _describe_soup(soup: SoupRecord) -> str:
    members = ", ".join(f"{each.share:.3g} x {each.model}" for each in soup.members if each.share)
    if soup.valid is None:
        return members
    return f"{members}; mean_recall {soup.mean_recall:.2f} on {soup.valid.source}"


def _encoder_rows(record: EncoderRecord | None) -> dict[str, str]:
    if record is None:
        return {
            "texts": f"{_CN_CLIP} vocabulary, 52 tokens",
            "images": f"{_CN_CLIP}: resized whole",
        }
    transform = record.transform
    width = "the longest text" if record.padding == "longest" else "all of them"
    padding = f"padded to {width}"
    rows = {
        "class": f"{record.architecture}, as {record.library} has it",
        "texts": f"{record.tokenizer}, up to {record.context_length} tokens, {padding}"
        f"{', in lower case' * record.lower_case}",
        "images": f"{transform.fit} to {transform.side} pixels, {transform.interpolation}, "
        f"mean {record.mean}, std {record.std}",
        "scale, bias": f"{record.logit_scale:.4g}, {record.logit_bias:.4g}",
    }
    if record.template is not None:
        rows["template"] = record.template
    return rows


def _training_rows(record: TrainingRecord) -> dict[str, str]:
    rows = {
        "trained by": f"{record.tool} on {record.date}, {record.seconds:.0f} s, {record.machine}",
        "settings": ", ".join(f"{name} {value}" for name, value in record.settings.items()),
    }
    for name, split in (("train", record.train), ("valid", record.valid)):
        counts = f"{split.images:,} images, {split.queries:,} queries"
        rows[name] = f"{split.source}: {counts} (sha256 {split.sha256[:12]})"
    if record.start is not None:
        scores = "  ".join(f"{name} {value:.2f}" for name, value in record.start.items())
        rows["start"] = f"{scores}{'' if record.best_epoch else '  (kept)'}"
    for epoch in record.epochs:
        scores = "  ".join(f"{name} {value:.2f}" for name, value in epoch.percent.items())
        best = "  (kept)" if epoch.epoch == record.best_epoch else ""
        rows[f"epoch {epoch.epoch}"] = (
            f"loss {epoch.loss:.4f}  {scores}  {epoch.seconds:.1f} s{best}"
        )
    return rows
