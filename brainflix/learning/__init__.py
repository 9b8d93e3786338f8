"""What alignment and regression share: ridge, folds, batches, training, losses, cohorts."""
