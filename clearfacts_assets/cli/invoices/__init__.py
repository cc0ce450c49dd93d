"""Commands of invoices: run, validate, jobs, invoices, deliveries."""
