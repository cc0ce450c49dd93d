"""Commands of people and services: users, keys, audit."""
