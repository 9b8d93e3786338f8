"""Small studies in the layouts of published ones."""
