"""What several tests share: small studies, clips, models and results, written to disk."""
