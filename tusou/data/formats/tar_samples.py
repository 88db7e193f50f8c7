"""Samples of WebDataset tars: consecutive members with the same key, read in bounded memory."""

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.data.base import SkippedFiles
from tusou.images.formats import IMAGE_SUFFIXES

MAX_TEXT_BYTES = 2**20

# Endings of images; `img` and `image` leave the format to the bytes.
_IMAGES = {suffix[1:] for suffix in IMAGE_SUFFIXES} | {"img", "image"}
_TEXTS = {"txt", "json"}


@dataclass(slots=True)
class TarSample:
    """The members of one key, which are consecutive in a tar, as WebDataset requires."""

    tar: int
    number: int  # position within its split, from 1
    key: str
    images: dict[str, tuple[int, int]] = field(default_factory=dict)  # by ending: offset, length
    texts: dict[str, bytes] = field(default_factory=dict)  # by ending
    problem: str = ""  # of a text
    others: list[str] = field(default_factory=list)  # endings of all other members

    def choose_images(self) -> dict[str, tuple[int, int]]:
        """Return the spans of the images to use: `jpg` rather than `mask.png`, if it has both."""
        plain = {ending: span for ending, span in self.images.items() if "." not in ending}
        return plain or self.images


def read_samples(tars: Sequence[Path], skipped: SkippedFiles) -> Iterator[TarSample | Failure]:
    """Yield the members of each tar by key, in memory that does not grow with the tar.

    Hidden members and members that are not files are counted in `skipped`.
    """
    number = 0
    for tar_number, path in enumerate(tars):
        sample: TarSample | None = None
        failures: list[Failure] = []
        with _open_tar(path) as tar:
            for member in _read_members(path, tar):
                if isinstance(member, str):
                    failures.append(Failure(number, None, member, path.name))
                    continue
                if reason := _skip_reason(member):
                    skipped.add(reason, member.name)
                    continue
                key, ending = _split_name(member.name)
                if sample is None or sample.key != key:
                    if sample is not None:
                        yield sample
                    number += 1
                    sample = TarSample(tar_number, number, key)
                _add_member(sample, ending, member, tar)
        if sample is not None:
            yield sample
        yield from failures


def _open_tar(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:", errors="surrogateescape")
    except tarfile.ReadError as error:
        raise BadDataset(
            f"{path}: not an uncompressed tar ({error}); images are read in place, so unpack it"
        ) from None


def _read_members(path: Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo | str]:
    """Yield all but the folders of a tar; if it is broken, the last value is a message."""
    while True:
        try:
            member = tar.next()
        except (tarfile.TarError, OSError, ValueError) as error:
            yield f"broken tar: {error}"
            return
        if member is None:
            if path.stat().st_size % tarfile.BLOCKSIZE:
                yield "broken tar: it ends in the middle of a block"
            return
        # Free the headers, all of which tarfile keeps.
        tar.members = []  # type: ignore[attr-defined]
        if not member.isdir():
            yield member


def _skip_reason(member: tarfile.TarInfo) -> str:
    """Return why a member belongs to no sample; empty if it belongs to one."""
    if member.name.rpartition("/")[2].startswith("."):
        return "hidden members"
    return "" if member.isfile() else "links and devices"


def _split_name(name: str) -> tuple[str, str]:
    """Return key and ending: as in WebDataset, the key ends at the first dot of the file name."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{folder}{slash}{stem}", ending.lower()


def _add_member(
    sample: TarSample, ending: str, member: tarfile.TarInfo, tar: tarfile.TarFile
) -> None:
    if ending.rpartition(".")[2] in _IMAGES and ending not in sample.images:
        sample.images[ending] = (member.offset_data, member.size)
    elif ending in _TEXTS and member.size > MAX_TEXT_BYTES:
        sample.problem = f"caption longer than {MAX_TEXT_BYTES} bytes"
    elif ending in _TEXTS:
        file = tar.extractfile(member)
        sample.texts[ending] = file.read() if file else b""
    else:
        sample.others.append(ending)
