"""The section of the settings that says for how long things are kept; settings.py reads it."""

from __future__ import annotations

from pydantic import Field

from clearfacts_assets.setting_types import Section


class RetentionSettings(Section):
    """For how long what is kept; the asset retention and `clearfacts retention` delete what is older. See
    docs/retention.md."""

    documents_years: int = Field(
        10, ge=1, le=100, description="years after the end of a document's year for which it is kept (Belgium: ten)"
    )
    audit_years: int = Field(
        10, ge=1, le=100, description="years after the end of its year for which an entry of the audit log is kept"
    )
    runs_days: int = Field(
        730, ge=7, le=36_500, description="days for which Dagster keeps runs of a day or month, with their events"
    )
    other_runs_days: int = Field(
        30, ge=1, le=36_500, description="the same for runs without a partition: health, follow-up and the like"
    )
    logs_days: int = Field(90, ge=1, le=36_500, description="days for which log files and what runs printed are kept")
    sessions_days: int = Field(
        7, ge=0, le=7, description="days after its end for which a login is kept; each new login drops those of a week"
    )
