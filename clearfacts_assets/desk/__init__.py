"""The desk: pages where people run a month of chargeback. An adapter beside the API, on the same engine functions."""
