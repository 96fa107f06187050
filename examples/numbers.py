"""Numbers of the sample day: invented, with right check digits.

The owner codes KOUU, SMPU and SMRU stand for the sample line, a sample lessor and the sample railway.
"""

from collections.abc import Callable

from domain import identifiers


def container(owner: str, serial: int) -> str:
    """The number of that serial, or of the next where ISO 6346 advises against the check remainder.

    >>> container("CSQU", 305438)
    'CSQU3054383'
    """
    return _checked(lambda digit, skipped: f"{owner}{serial + skipped:06}{digit}", identifiers.container)


def awb(prefix: str, serial: int) -> str:
    """Eleven digits.

    >>> awb("112", 1)
    '11200000011'
    """
    return _checked(lambda digit, _: f"{prefix}{serial:07}{digit}", identifiers.awb)


def imo(serial: int) -> str:
    """Seven digits.

    >>> imo(907472)
    '9074729'
    """
    return _checked(lambda digit, _: f"{serial:06}{digit}", identifiers.imo)


def entry(customs: str, serial: int, *, imported: bool) -> str:
    """A declaration number of 2026.

    >>> entry("2308", 4127, imported=True)
    '230820261086004127'
    """
    number = f"{customs}2026{int(imported)}0{customs[-1]}6{serial:06}"
    return identifiers.entry_id(number).number


def seq(serial: int, *, imported: bool) -> str:
    """The number that the Single Window gives before customs has given its own (数据中心统一编号)."""
    return f"{'I' if imported else 'E'}2026{serial:013}"


def _checked(write: Callable[[int, int], str], check: Callable[[str], identifiers.Checked]) -> str:
    tried = (write(digit, skipped) for skipped in range(9) for digit in range(10))
    return next(number for number in tried if not check(number)[1])
