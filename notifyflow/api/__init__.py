"""Glue between DRF and the project's API rules; no business rule and no model lives here."""
