"""Commands about an installation as a whole: its backups, and for how long it keeps what."""
