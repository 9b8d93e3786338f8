"""From BOLD runs to responses: cleaning, selection by reproducibility, delay and window."""
