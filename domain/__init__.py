"""Facts and decisions. Knows no web, no payment provider, no read model."""
