"""Tables and repositories of people and services: users, sessions, keys, audit, configuration."""
