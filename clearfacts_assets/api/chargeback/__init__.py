"""What /metrics tells of chargeback."""
