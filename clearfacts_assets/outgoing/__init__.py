"""Calls that go out: bounded in time, in bytes and in what they may tell. What every HTTP adapter stands on."""
