"""Two billing systems in one house: invoice delivery to Clearfacts, and research-computing chargeback."""
