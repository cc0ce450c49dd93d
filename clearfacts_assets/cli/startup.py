"""What every command that works does first: read the settings, find the home, speak through our log."""

from __future__ import annotations

from clearfacts_assets.settings import Settings


def ready() -> Settings:
    """The settings of this process, with the home prepared and the project's log configured. Raises ValidationError."""
    from clearfacts_assets import settings, tracing
    from clearfacts_assets.home import prepare
    from clearfacts_assets.telemetry import logging

    configured = settings.load()
    logging.configure(configured.log_level, configured.log_format, secrets=configured.secrets)
    tracing.configure(configured.collector)
    prepare(configured)
    return configured
