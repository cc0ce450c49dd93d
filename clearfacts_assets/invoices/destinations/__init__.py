"""Where invoices go, one file each; ``ports.Destination`` is what such a file has to fill."""
