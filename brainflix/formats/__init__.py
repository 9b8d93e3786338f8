"""File formats: how images, tables, arrays and videos of any origin are opened."""
