"""``brainflix fetch``: published studies from open archives, and where to ask for the rest."""
