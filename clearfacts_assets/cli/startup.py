"""What every command that works does first: read the settings, find the home, speak through our log."""

from __future__ import annotations

from clearfacts_assets.settings import Settings


def ready() -> Settings:
    """The settings of this process, with the home prepared and the project's log configured. Raises ValidationError."""
    from clearfacts_assets import settings
    from clearfacts_assets.home import prepare
    from clearfacts_assets.telemetry import logging

    known = settings.load()
    logging.configure(known.log_level, known.log_format, secrets=known.secrets)
    prepare(known)
    return known
