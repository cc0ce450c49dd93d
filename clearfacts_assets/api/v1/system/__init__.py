"""Endpoints of the system itself: readiness, configuration."""
