"""Pushing: the feed and the alerts sent to where an account wants them, signed, in order, until they are taken.

The desk (`desk.py`, `routes.py`) keeps endpoints, `kouan push` serves them. What a receiver sees: docs/webhooks.md.
"""
