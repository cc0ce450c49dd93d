"""Reports for other programs and for people: SARIF, CSV, HTML; and the invoice as a person reads it."""
