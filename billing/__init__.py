"""Money. Pure rules first, the outside last."""
