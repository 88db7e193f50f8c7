"""Consent to run the code that comes with a model."""

import os
from collections.abc import Mapping

TRUST_VARIABLE = "TUSOU_TRUST_REMOTE_CODE"
_YES = {"1", "on", "true", "yes"}


def is_code_trusted(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process may run the code of models."""
    return environment.get(TRUST_VARIABLE, "").lower() in _YES


def trust_code() -> None:
    """Let this process, and those that it starts, run the code of models."""
    os.environ[TRUST_VARIABLE] = "on"
