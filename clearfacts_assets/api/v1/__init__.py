"""The contract, version 1: a room a domain, one router a file (docs/api.md)."""
