"""From the ERP to Clearfacts: retrieve, validate, de-duplicate, deliver, measure."""
