"""From bytes to findings and a verdict: parsing, rule sets, the engine, policy."""
