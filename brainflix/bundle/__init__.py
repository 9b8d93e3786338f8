"""The workflow as package data: Snakefile, rules, profiles, environments and configurations.

In a checkout these are links to the folders at its root; a wheel holds the files themselves.
"""

from pathlib import Path

SNAKEFILE = Path(__file__).resolve().parent / "Snakefile"
"""The workflow's Snakefile: ``snakemake -s FILE --configfile mine.yaml --cores 8 all``."""
