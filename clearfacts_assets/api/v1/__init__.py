"""The contract, version 1: one router a file (spec.md, section 3)."""
