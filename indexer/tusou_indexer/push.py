"""Copies a bundle's current version into a store, and publishes it there."""

from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.bundle.location import S3Address
from tusou.bundle.manifest import MANIFEST
from tusou.bundle.s3_store import S3Store
from tusou.core.errors import CorruptBundle
from tusou.core.files import sha256_of


@dataclass(frozen=True, slots=True)
class PushReport:
    """The result of a push."""

    version: str
    previous: str | None  # the version that the store's CURRENT named before
    uploaded: int  # files
    present: int  # files that the store had
    bytes: int  # of the uploaded files


def push(root: Path, address: S3Address) -> PushReport:
    """Upload the version that CURRENT names, then let the store's CURRENT name it.

    Files that the store holds are not sent again, so that an interrupted push goes on where it
    ended. The manifest is the last file of a version, and CURRENT comes after it: what CURRENT
    names is complete at every moment. Of the store's older versions, the one that it named before
    stays. Raises CorruptBundle, StoreUnreachable and MissingDependency.
    """
    bundle = Bundle.open(root)
    bundle.verify()
    store = S3Store(address)
    try:
        previous = store.current_version()
    except CorruptBundle:
        previous = None
    digests = {name: record.sha256 for name, record in bundle.manifest.files.items()}
    digests[MANIFEST] = sha256_of(bundle.path(MANIFEST))  # the last one
    sizes = {name: bundle.path(name).stat().st_size for name in digests}
    uploaded: list[str] = []
    for name, digest in digests.items():
        if not store.has(f"{bundle.version}/{name}", sizes[name], digest):
            store.upload(bundle.path(name), f"{bundle.version}/{name}", digest)
            uploaded.append(name)
    store.point_current(bundle.version)
    if previous != bundle.version:
        for version in store.versions():
            if version not in {bundle.version, previous}:
                store.remove(version)
    return PushReport(
        bundle.version,
        previous,
        len(uploaded),
        len(digests) - len(uploaded),
        sum(sizes[name] for name in uploaded),
    )
