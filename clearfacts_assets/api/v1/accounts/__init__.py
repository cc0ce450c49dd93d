"""Endpoints of people and services: login, users, keys, audit."""
