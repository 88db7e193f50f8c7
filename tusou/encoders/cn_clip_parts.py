"""Single modules of cn_clip, without the torchvision that importing its package brings along."""

import sys
from importlib import import_module
from types import ModuleType

import cn_clip

# `cn_clip.clip` imports torchvision and, through it, torch's compiler: four seconds and 150 MB
# that a service answering texts never uses. This package has the same files and no __init__.
_ALIAS = "tusou_cn_clip"


def import_part(name: str) -> ModuleType:
    """Import `cn_clip.clip.<name>` alone; it must import nothing of the package but siblings."""
    if _ALIAS not in sys.modules:
        package = ModuleType(_ALIAS, "The files of cn_clip.clip, each to be imported alone.")
        package.__path__ = [f"{folder}/clip" for folder in cn_clip.__path__]
        sys.modules[_ALIAS] = package
    return import_module(f"{_ALIAS}.{name}")
