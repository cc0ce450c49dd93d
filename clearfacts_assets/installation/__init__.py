"""The life of an installation: what belongs to it, its backups, its restoration, and for how long it keeps what."""
