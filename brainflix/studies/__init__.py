"""Study readers: what runs, clips and trials exist on disk, and how to load them."""
