"""Versions that share files with the one before: what changes, and what is refused."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tusou.bundle.bundle import LIVE, Bundle, current_version
from tusou.bundle.manifest import Manifest
from tusou.bundle.publication import lock_bundle
from tusou.bundle.revise import revise
from tusou.bundle.stages import CALIBRATION, FeedbackRecord, Stages
from tusou.core.errors import CorruptBundle, InvalidRequest, Locked, OutputExists


@pytest.fixture
def root(three_bundles: list[Path], tmp_path: Path) -> Path:
    shutil.copytree(three_bundles[0], tmp_path / "bundle")
    return tmp_path / "bundle"


def with_feedback(manifest: Manifest) -> Manifest:
    stages = Stages(feedback=FeedbackRecord(items=3, weight=0.5))
    return manifest.model_copy(update={"stages": stages})


def test_a_revision_shares_its_files_and_is_published(root: Path) -> None:
    before = Bundle.open(root)
    revised = revise(root, with_feedback)
    assert current_version(root) == revised.version != before.version
    revised.verify()
    revised.check_parts()
    assert revised.manifest.stages.names == ("feedback",)
    assert revised.manifest.files == before.manifest.files
    for name in before.manifest.files:
        assert os.path.samefile(before.path(name), revised.path(name))  # noqa: PTH121
    assert not list(root.glob(".revise*"))
    assert revise(root, with_feedback).version == revised.version  # nothing has changed


def test_files_are_added_replaced_and_dropped(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "made.json"
    file.write_text("[1]")
    first = revise(root, with_feedback, add={CALIBRATION: file})
    first.verify()
    assert first.path(CALIBRATION).read_text() == "[1]"
    file.write_text("[2]")
    second = revise(root, with_feedback, add={CALIBRATION: file})
    assert second.path(CALIBRATION).read_text() == "[2]"
    assert first.path(CALIBRATION).read_text() == "[1]"
    third = revise(root, with_feedback, drop=[CALIBRATION])
    third.verify()
    assert CALIBRATION not in third.manifest.files
    assert not first.folder.exists()  # only the version before stays
    assert second.folder.exists()


def test_another_bundle_takes_the_version(root: Path, tmp_path: Path) -> None:
    before = current_version(root)
    revised = revise(root, with_feedback, out=tmp_path / "new" / "bundle")
    assert current_version(root) == before
    assert current_version(tmp_path / "new" / "bundle") == revised.version
    shutil.rmtree(root)
    revised.verify()


def test_another_folder_must_be_a_bundle_without_live_changes(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a photo")
    with pytest.raises(OutputExists, match="something else than a bundle"):
        revise(root, with_feedback, out=folder)
    assert [path.name for path in folder.iterdir()] == ["a.jpg"]
    other = tmp_path / "other"
    before = revise(root, with_feedback, out=other).version
    (other / LIVE).mkdir()
    with pytest.raises(OutputExists, match="live changes of its own"):
        revise(root, lambda manifest: manifest, out=other)
    assert current_version(other) == before


def test_a_damaged_file_is_not_published_again(root: Path) -> None:
    version = current_version(root)
    path = root / version / "ids.txt"
    path.write_bytes(path.read_bytes().replace(b"100", b"999"))
    with pytest.raises(CorruptBundle, match=r"ids\.txt is damaged"):
        revise(root, with_feedback)
    assert current_version(root) == version


def test_a_version_that_is_not_current_any_more_is_refused(root: Path) -> None:
    before = current_version(root)
    revise(root, with_feedback)
    with pytest.raises(InvalidRequest, match="another version"):
        revise(root, lambda manifest: manifest, version=before)


def test_a_bundle_that_is_being_written_is_left_alone(root: Path) -> None:
    with lock_bundle(root), pytest.raises(Locked):
        revise(root, with_feedback)


def test_a_manifest_that_no_service_would_read_is_not_published(root: Path) -> None:
    before = current_version(root)
    with pytest.raises(CorruptBundle, match="wrong value at id_type"):
        revise(root, lambda manifest: manifest.model_copy(update={"id_type": "float"}))
    assert current_version(root) == before
    assert json.loads((root / before / "manifest.json").read_bytes())["id_type"] == "int"
