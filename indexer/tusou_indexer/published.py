"""Published versions: one that equals a build, and those whose vectors it can take."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from tusou.bundle.bundle import Bundle, is_version
from tusou.bundle.content import CONTENT
from tusou.bundle.manifest import COMPACTED_FROM, Manifest
from tusou.bundle.model_record import differing_fields
from tusou.cli.progress import Progress
from tusou.core.errors import ArtifactError
from tusou.core.ids import ItemKind
from tusou.encoders import split_names
from tusou_indexer.build_inputs import BuildInputs
from tusou_indexer.build_record import INDEX_LIBRARIES, build_record, describe_preprocessing
from tusou_indexer.write_bundle import BundleRecipe

# Another device computes the same vectors except for their last digits. The manifest records the
# device that encoded them.
_DEVICE_KEYS = ("device", "backend", "openvino")
_INDEX_KEYS = ("index", "target_recall", "index_device", COMPACTED_FROM, *INDEX_LIBRARIES)
# The records that must equal those of a version whose vectors are reused, beside the precision of
# each model: the libraries that prepare the items, and for images which of them are refused.
_ENCODING_KEYS: Mapping[ItemKind, tuple[str, ...]] = {
    "images": ("prepare", "max_megapixels", "pillow"),
    "texts": ("cn-clip",),
}


class PublishedVersions:
    """The versions of a bundle's folder; every byte of each is verified once at most."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._intact: dict[str, bool] = {}

    def current(self) -> Bundle | None:
        """Open the version that CURRENT names, unverified; None if there is none to read."""
        try:
            return Bundle.open(self._root)
        except ArtifactError:
            return None

    def __iter__(self) -> Iterator[Bundle]:
        """Yield every version that can be read, unverified, the current one first."""
        current = self.current()
        if current is not None:
            yield current
        first = None if current is None else current.version
        names = {path.name for path in self._root.iterdir() if is_version(path.name)} - {first}
        for name in sorted(names):
            with suppress(ArtifactError):
                yield Bundle.open(self._root, name)

    def is_intact(self, bundle: Bundle) -> bool:
        """Return whether every byte of a version is right."""
        if bundle.version not in self._intact:
            self._intact[bundle.version] = False
            with suppress(ArtifactError):
                bundle.verify()
                bundle.check_parts()
                self._intact[bundle.version] = True
        return self._intact[bundle.version]


def find_equal(
    versions: PublishedVersions, inputs: BuildInputs, recipe: BundleRecipe, source_sha256: str
) -> Bundle | None:
    """Return the current version if building again would give the same bytes, but for stages.

    A query bank that is asked for must be its own. The device that encoded the vectors, and the
    name of the file of attributes, may be other ones.
    """
    bundle = versions.current()
    if bundle is None:
        return None
    manifest, source = bundle.manifest, bundle.manifest.source
    record = _without(manifest.build, _DEVICE_KEYS)
    attributes = manifest.attribute_source and manifest.attribute_source.sha256
    queries = manifest.model.sha256, manifest.templates, manifest.views
    same_models = not any(
        differing_fields(theirs.encoder, ours.encoder)
        for theirs, ours in zip(manifest.model.parts, recipe.model.parts, strict=False)
    )
    same_build = same_models and (queries, attributes, record) == (
        (recipe.model.sha256, recipe.prompts, inputs.views),
        recipe.attributes_sha256,
        _without(build_record(inputs, recipe.index), _DEVICE_KEYS),
    )
    same_source = (source.path, source.split, source.sha256) == (
        inputs.source,
        inputs.split,
        source_sha256,
    )
    same_bank = recipe.bank is None or manifest.stages.hub == recipe.bank.record
    same = same_build and same_source and same_bank
    return bundle if same and versions.is_intact(bundle) else None


def why_not_reused(
    manifest: Manifest, inputs: BuildInputs, kind: ItemKind, recipe: BundleRecipe
) -> str | None:
    """Return why no vector of a version can stand in a build, in a short phrase; None if some can.

    Weights, preprocessing and precision must be the same; source, index, prompt and device may
    differ. Of an ensemble, one model is enough.
    """
    if manifest.items != kind:
        return f"its items are {manifest.items}"
    digests = {model.sha256: model.encoder for model in recipe.model.parts}
    same = [model for model in manifest.model.parts if model.sha256 in digests]
    if not same:
        return "it has another model"
    settings = [differing_fields(model.encoder, digests[model.sha256]) for model in same]
    if all(settings):
        return f"its model was read with other settings: {'; '.join(settings[0])}"
    if CONTENT not in manifest.files:
        return "it does not say what its items contained"
    ours = build_record(inputs, recipe.index)
    keys = _ENCODING_KEYS[kind]
    count = len(recipe.model.parts)
    has_model = any(
        find_model(manifest, inputs, recipe, number) is not None for number in range(count)
    )
    differing = [] if has_model else ["precision"]
    differing += [key for key in keys if manifest.build.get(key) != ours.get(key)]
    encoders = [model.encoder for model in manifest.model.parts]
    if manifest.preprocessing != describe_preprocessing(kind, inputs.prepare, encoders):
        differing.append("preprocessing")
    if manifest.views != inputs.views:
        differing.append("views")
    return f"it has another {', '.join(differing)}" if differing else None


def reusable_versions(
    versions: PublishedVersions, inputs: BuildInputs, kind: ItemKind, recipe: BundleRecipe
) -> Iterator[Bundle]:
    """Yield the intact versions of a bundle whose vectors can stand in a build."""
    for bundle in versions:
        fits = why_not_reused(bundle.manifest, inputs, kind, recipe) is None
        if fits and versions.is_intact(bundle):
            yield bundle


def named_versions(
    roots: Iterable[Path],
    inputs: BuildInputs,
    kind: ItemKind,
    recipe: BundleRecipe,
    progress: Progress,
) -> Iterator[Bundle]:
    """Yield the current versions of other bundles, with a notice for each that cannot be used.

    Raises CorruptBundle and IncompatibleBundle for one that is damaged.
    """
    for root in roots:
        bundle = Bundle.open(root)
        reason = why_not_reused(bundle.manifest, inputs, kind, recipe)
        if reason is not None:
            progress.notice(f"no vectors are taken from {root}: {reason}")
            continue
        bundle.verify()
        bundle.check_parts()
        yield bundle


def open_once(
    versions: PublishedVersions | None,
    named: Iterable[Path],
    inputs: BuildInputs,
    kind: ItemKind,
    recipe: BundleRecipe,
    progress: Progress,
) -> Callable[[], Sequence[Bundle]]:
    """Return a function that opens the versions to take vectors from, at its first call.

    First come those of the bundle itself, unless they are None, then the named bundles.
    """

    @cache
    def open_versions() -> Sequence[Bundle]:
        found: list[Bundle] = []
        if versions is not None:
            found += reusable_versions(versions, inputs, kind, recipe)
        return [*found, *named_versions(named, inputs, kind, recipe, progress)]

    return open_versions


def find_model(
    manifest: Manifest, inputs: BuildInputs, recipe: BundleRecipe, number: int
) -> int | None:
    """Return which model of a version is that of a build, in the same precision, None for none."""
    ours, theirs = recipe.model.parts, manifest.model.parts
    precision = split_names(inputs.precision, len(ours))[number]
    precisions = split_names(str(manifest.build.get("precision")), len(theirs))
    for place, model in enumerate(theirs):
        same = model.sha256 == ours[number].sha256 and precisions[place] == precision
        if same and not differing_fields(model.encoder, ours[number].encoder):
            return place
    return None


def encoding_of(manifest: Manifest) -> dict[str, str | int]:
    """Return the part of a version's build record that the bytes of its vectors depend on."""
    return _without(manifest.build, _INDEX_KEYS)


def _without(record: Mapping[str, str | int], keys: Iterable[str]) -> dict[str, str | int]:
    return {name: value for name, value in record.items() if name not in set(keys)}
