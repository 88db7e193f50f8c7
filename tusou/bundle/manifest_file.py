"""The manifest as the last file of a version, with the records of all others."""

from pathlib import Path

from tusou.bundle.manifest import MANIFEST, FileRecord, Manifest
from tusou.core.files import sha256_of, sync, write_file


def file_records(folder: Path) -> dict[str, FileRecord]:
    """Make the files of a version durable; return size and digest of each."""
    records: dict[str, FileRecord] = {}
    for path in sorted(folder.iterdir()):
        sync(path)
        records[path.name] = FileRecord(size=path.stat().st_size, sha256=sha256_of(path))
    return records


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write the manifest, after which the version is complete."""
    write_file(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())
    sync(folder)
