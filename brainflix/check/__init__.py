"""``brainflix check``: what a study holds, what is wrong with it, and what a run would cost."""
