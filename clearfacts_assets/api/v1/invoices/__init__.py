"""Endpoints of invoices, deliveries, jobs and processing."""
