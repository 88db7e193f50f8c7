"""Options of several verbs."""

from pathlib import Path
from typing import Annotated

import typer

SetPath = Annotated[Path, typer.Argument(help="Folder of the set.", exists=True, file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
