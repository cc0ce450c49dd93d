"""Tables and repositories of invoices, jobs and deliveries."""
