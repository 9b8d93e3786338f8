"""n-way classification: the closed form beside 100 Monte Carlo trials, inside their error."""

import time

import numpy as np

from brainflix.metrics.nway_classification import nway_exact, nway_trials

CLIPS, CLASSES, TRIALS = 100, 1000, 100


def timed(function, *arguments):
    """Return the result and the time taken, in s of this process's CPU."""
    start = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - start


def main():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(CLIPS, CLASSES))
    predicted = 0.4 * true + rng.normal(size=true.shape)
    for ways in (2, 50):
        for k in (1, 3):
            repeats = [timed(nway_exact, true, predicted, ways, k) for _ in range(5)]
            exact, exact_time = min(repeats, key=lambda found: found[1])
            drawn, trial_time = timed(nway_trials, true, predicted, ways, k, TRIALS, 0)
            error = np.sqrt((exact * (1 - exact)).sum() / TRIALS) / CLIPS
            print(f"{ways}-way, {k} true classes: exact {exact.mean():.4f}", end="")
            print(f"   {TRIALS} trials {drawn.mean():.4f}", end="")
            print(f"   {(drawn.mean() - exact.mean()) / error:+.1f} standard errors", end="")
            print(f"   {trial_time / exact_time:,.0f} times faster")


if __name__ == "__main__":
    main()
