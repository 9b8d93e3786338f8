"""The command line, run in this process."""

import sys

from brainflix.cli import main as cli


def brainflix(*arguments):
    """Run the command line and return its exit code."""
    before, sys.argv = sys.argv, ["brainflix", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as end:
        return end.code or 0
    finally:
        sys.argv = before
    return 0
