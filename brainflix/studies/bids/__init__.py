"""BIDS derivatives: series, events, masks and stimuli."""
