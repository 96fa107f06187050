"""Money as texts have it. Everywhere else it is integer minor units (fen)."""


def yuan(minor: int) -> str:
    """Fen as yuan with two decimals, without separators.

    >>> yuan(5), yuan(-1234)
    ('0.05', '-12.34')
    """
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02}"
