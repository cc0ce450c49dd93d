"""What the endpoints of invoices stand on: jobs are submitted and watched; and their metrics."""
