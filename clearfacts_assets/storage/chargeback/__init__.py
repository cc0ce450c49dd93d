"""Chargeback's tables and their repositories."""
