"""Two billing systems on one ledger: invoice delivery to Clearfacts, and research-computing chargeback."""
