"""Statements of external customers as Peppol invoices and credit notes. Internal funds never get one."""
