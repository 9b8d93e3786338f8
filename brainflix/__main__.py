"""``python -m brainflix``: the same as the ``brainflix`` command."""

from brainflix.cli.main import main

if __name__ == "__main__":
    main()
