"""From files to charges: canonical rows, their identity, the difference to what stands there."""
