"""The tags of the dialect: each parses itself from python-liquid's token stream into nodes."""
