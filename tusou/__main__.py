"""`python -m tusou` is the `tusou` command."""

from tusou.cli.main import main

main()
