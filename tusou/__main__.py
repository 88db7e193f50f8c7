"""`python -m tusou` is the `tusou` command."""

from tusou.cli import main

main()
