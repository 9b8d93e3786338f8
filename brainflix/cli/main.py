"""The entry point: exit code 2 for what a person can mend, 1 for a defect."""

from __future__ import annotations

import sys
import traceback

from brainflix.cli import data, evaluate, stages  # noqa: F401 (enter their commands)
from brainflix.cli.app import app
from brainflix.console import say
from brainflix.errors import BrainflixError


def main() -> None:
    """Run the command line; exit code 2 for what a person can mend, 1 for a defect."""
    try:
        app()
    except BrainflixError as error:
        say(f"brainflix: {error}")
        sys.exit(2)
    except Exception:
        say(traceback.format_exc().rstrip())
        sys.exit(1)
