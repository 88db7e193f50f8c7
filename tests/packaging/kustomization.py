"""Builds the part of kustomize that deploy/kubernetes uses, so that tests need no cluster tool."""

import copy
import re
from pathlib import Path
from typing import Any

import yaml

KNOWN = {"apiVersion", "kind", "resources", "components", "labels", "images", "patches"}


def build(folder: Path, extra_components: tuple[Path, ...] = ()) -> list[dict[str, Any]]:
    """Return the documents of a kustomization, as `kubectl kustomize` prints them."""
    rules = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    assert set(rules) <= KNOWN
    documents: list[dict[str, Any]] = []
    for name in rules.get("resources", ()):
        path = folder / name
        documents += build(path) if path.is_dir() else yaml.safe_load_all(path.read_text("utf-8"))
    components = [folder / name for name in rules.get("components", ())]
    for component in [*components, *extra_components]:
        apply_rules(documents, component)
    apply_rules(documents, folder)
    return documents


def apply_rules(documents: list[dict[str, Any]], folder: Path) -> None:
    """Apply the patches, labels and images of one kustomization, in that order."""
    rules = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    for patch in rules.get("patches", ()):
        target = patch["target"]
        matched = [document for document in documents if _is_target(document, target)]
        assert matched, f"{folder}: no document is {target}"
        for document in matched:
            for operation in yaml.safe_load(patch["patch"]):
                _apply(document, operation)
    for label in rules.get("labels", ()):
        assert set(label) == {"pairs"}
        for document in documents:
            document["metadata"].setdefault("labels", {}).update(label["pairs"])
    images = {image["name"]: image for image in rules.get("images", ())}
    for container in (one for document in documents for one in containers(document)):
        if image := images.get(container["image"]):
            container["image"] = f"{image['newName']}:{image['newTag']}"


def containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the containers of a document's pods; none if it makes no pods."""
    template = document.get("spec", {}).get("template", {})
    found: list[dict[str, Any]] = template.get("spec", {}).get("containers", [])
    return found


def _is_target(document: dict[str, Any], target: dict[str, str]) -> bool:
    return bool(
        re.fullmatch(target["kind"], document["kind"])
        and re.fullmatch(target.get("name", ".*"), document["metadata"]["name"])
    )


def _apply(document: dict[str, Any], operation: dict[str, Any]) -> None:
    """Apply an operation of RFC 6902 in place."""
    *steps, last = (
        step.replace("~1", "/").replace("~0", "~") for step in operation["path"].split("/")[1:]
    )
    parent: Any = document
    for step in steps:
        parent = parent[int(step) if isinstance(parent, list) else step]
    value = copy.deepcopy(operation["value"])
    if operation["op"] == "test":
        assert parent[last] == value
    elif isinstance(parent, list):
        assert (operation["op"], last) == ("add", "-")
        parent.append(value)
    else:
        assert operation["op"] == "add" or last in parent
        parent[last] = value
