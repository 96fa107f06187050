"""Signing in: passwords and second factors, sessions, keys, cards, and tokens of issuers."""
