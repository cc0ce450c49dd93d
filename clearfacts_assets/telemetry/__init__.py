"""What the running system tells of itself: logs as JSON lines, and metrics for Prometheus."""
