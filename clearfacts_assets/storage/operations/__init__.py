"""Tables that keep the system running: leases, signs of life of runs, the outbox of alerts."""
