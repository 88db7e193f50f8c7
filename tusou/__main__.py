"""Runs the `tusou` command for `python -m tusou`."""

from tusou.cli.main import main

main()
