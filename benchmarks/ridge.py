"""Ridge with left-out folds: one decomposition beside a solver for each fold, equal values.

``python benchmarks/ridge.py [rows] [features] [dim]``; both run on one core in double precision.
"""

import sys
import time

import numpy as np
from himalaya.ridge import solve_ridge_svd

from brainflix.learning.ridge import decompose, heldout_predictions

FOLDS, ALPHAS = 5, (1e1, 1e2, 1e3, 1e4, 1e5)


def ours(x, y, folds):
    """Return left-out predictions and weights for each penalty, from one decomposition."""
    spectrum = decompose(x)
    heldout = [heldout_predictions(spectrum, y, alpha, folds) for alpha in ALPHAS]
    return np.stack(heldout), np.stack([spectrum.weights(y, alpha) for alpha in ALPHAS])


def theirs(x, y, folds):
    """Return the same by himalaya, refitted without each fold."""
    exact, options = x.astype(np.float64), {"fit_intercept": False, "warn": False}
    heldout = np.empty((len(ALPHAS), *y.shape))
    for k, alpha in enumerate(ALPHAS):
        for fold in range(FOLDS):
            out = folds == fold
            weights = solve_ridge_svd(exact[~out], y[~out], alpha=alpha, **options)
            heldout[k, out] = exact[out] @ weights
    return heldout, np.stack([solve_ridge_svd(exact, y, alpha=a, **options) for a in ALPHAS])


def main():
    rows, features, dim = [int(value) for value in sys.argv[1:]] or (600, 1500, 32)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    x -= x.mean(axis=0)
    y = x[:, :50] @ rng.normal(size=(50, dim)) + 5 * rng.normal(size=(rows, dim))
    y -= y.mean(axis=0)
    folds = np.arange(rows) % FOLDS
    results, times = [], []
    for solve in (ours, theirs):
        start = time.process_time()
        results.append(solve(x, y, folds))
        times.append(time.process_time() - start)
    print(f"{rows} rows, {features} features, {dim} dimensions, {len(ALPHAS)} penalties:")
    print(
        f"brainflix {times[0]:.2f} s   himalaya {times[1]:.2f} s   ratio {times[1] / times[0]:.1f}"
    )
    for name, a, b in zip(("held-out predictions", "weights"), *results, strict=True):
        print(
            f"{name}: largest difference {np.abs(a - b).max() / np.abs(b).max():.1e} of the largest"
        )


if __name__ == "__main__":
    main()
