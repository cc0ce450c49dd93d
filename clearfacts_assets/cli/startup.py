"""What every command that works does first: read the settings, find the home, speak through our log."""

from __future__ import annotations

from clearfacts_assets.settings import Settings


def ready() -> Settings:
    """The settings in force, with the home prepared and the project's log configured. Raises ValidationError."""
    from clearfacts_assets import settings
    from clearfacts_assets.home import prepare
    from clearfacts_assets.telemetry import logging

    known = settings.load()
    secrets = [known.source.token, known.destination.token, known.slack.token]
    logging.configure(
        known.log_level, known.log_format, secrets=[secret.get_secret_value() for secret in secrets if secret]
    )
    prepare(known)
    return known
