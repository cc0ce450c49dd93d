"""From a charge's list price to what is due: rate cards, and the rules that split, subsidise and cap, in one order."""
