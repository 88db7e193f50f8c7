"""The precision of a bundle's image tower, where `int8-calibrated` is requested."""

from tusou.bundle.manifest import Manifest
from tusou.core.errors import IncompatibleBundle
from tusou.encoders import split_names
from tusou.encoders.calibrated_precision import CALIBRATED, graph_of


def name_graphs(manifest: Manifest, precision: str) -> str:
    """Return the requested precision, with the graphs that encoded the bundle's images.

    Each `int8-calibrated` gets the graph of its model. Raises IncompatibleBundle if the images of
    that model were not encoded in int8-calibrated.
    """
    if CALIBRATED not in precision.split(","):
        return precision
    count = len(manifest.model.parts)
    made = split_names(str(manifest.build.get("precision", "")), count)
    named = []
    for requested, own in zip(split_names(precision, count), made, strict=True):
        if requested == CALIBRATED and graph_of(own) is None:
            raise IncompatibleBundle(
                f"the bundle's items were encoded in {own or 'another precision'}, not in "
                "int8-calibrated: use another precision, or index images with --precision "
                "int8-calibrated"
            )
        named.append(own if requested == CALIBRATED else requested)
    return ",".join(named)
