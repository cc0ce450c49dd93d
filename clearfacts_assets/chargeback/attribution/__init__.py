"""Who pays for a charge: what its tags say, what the registry knows, what a person decided."""
