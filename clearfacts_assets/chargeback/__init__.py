"""Chargeback: from cost exports to charges that can be defended to the cent."""
