"""What the invoices of random months must have come to, reckoned from what was done: no code of the product is asked.

A bill is what a statement has to be paid. The oracle notes what its holder, the bank, Stripe and finance did, and says
what then stands: paid, given back, credited, outstanding; what the provider shows; and what is amiss in a month: money
that belongs to nothing, refunds without a credit note, fapiao that are missing or wrong. Money is fen.
"""

from domain import period

Amiss = tuple[str, str, int]
"""Code, statement, amount that was found (0: none)."""


class Receipt:
    """Money that came in at the bank, naming a statement. What waits of it belongs to nothing."""

    def __init__(self, statement: str, amount: int, booked: str) -> None:
        self.statement = statement
        self.waiting = amount
        self.booked = booked  # month
        self.matched = 0  # times
        self.undone = False  # once: from then on people match it, and nothing by itself


class Bill:
    """An invoice. `payments`: less what was taken back of each."""

    def __init__(self, statement: str, month: str, total: int, provider: str) -> None:
        self.statement, self.month, self.total, self.provider = statement, month, total, provider
        self.payments: dict[str, int] = {}
        self.gross = 0  # all that ever came in
        self.refunded: dict[str, int] = {}  # by payment
        self.notes: list[list[int]] = []  # credit notes: amount, and what of it was given back
        self.bare: list[int] = []  # refunds on no credit note
        self.failed = 0  # attempts
        self.voids = 0
        self.voided = False
        self.disputes: dict[str, str] = {}  # payment -> dispute
        self.fapiao: dict[str, int] = {}  # blue and red ones

    @property
    def paid(self) -> int:
        return sum(self.payments.values())

    @property
    def given(self) -> int:
        return sum(self.refunded.values())

    @property
    def credited(self) -> int:
        return sum(amount for amount, _ in self.notes)

    @property
    def outstanding(self) -> int:
        return 0 if self.voided else self.total - self.credited - self.paid + self.given

    def shown(self) -> int:
        """What the provider says is open: Stripe opens no invoice again when money is taken or given back."""
        if self.voided or self.provider == "bank":
            return self.outstanding
        return max(0, self.total - self.credited - self.gross)

    def left(self, payment: str) -> int:
        return self.payments[payment] - self.refunded.get(payment, 0)

    # what happens

    def receive(self, payment: str, amount: int) -> None:
        self.payments[payment] = self.payments.get(payment, 0) + amount
        self.gross += amount

    def take_back(self, payment: str) -> int:
        amount, self.payments[payment] = self.payments[payment], 0
        return amount

    def credit(self, amount: int) -> None:
        self.notes.append([amount, 0])

    def refund(self, payment: str, amount: int) -> None:
        """On a credit note that has room where too much was paid; else on one that is made for it."""
        if self.outstanding == 0:
            self.credit(amount)
        note = next(each for each in self.notes if each[0] - each[1] >= amount)
        note[1] += amount
        self.refunded[payment] = self.refunded.get(payment, 0) + amount

    def refundable(self, payment: str) -> int:
        """The most that can be given back of a payment at once, on one credit note."""
        if self.voided or self.outstanding > 0:
            return 0
        room = max((amount - back for amount, back in self.notes), default=0)
        return min(self.left(payment), min(-self.outstanding, room) if self.outstanding else self.total - self.credited)

    # what is amiss

    def amiss(self) -> list[Amiss]:
        found = [("refund_without_credit_note", self.statement, amount) for amount in self.bare]
        due, told = self.total - self.credited, sum(self.fapiao.values())
        if self.voided:
            return found
        if self.fapiao and told != due:
            found.append(("fapiao_amount_mismatch", self.statement, told))
        if not self.fapiao and due and self.outstanding <= 0 and self.paid > self.given:
            found.append(("fapiao_missing", self.statement, 0))
        return found


class Oracle:
    """All bills of a database, and all money that came in without an invoice."""

    def __init__(self) -> None:
        self.bills: dict[str, Bill] = {}
        self.receipts: dict[str, Receipt] = {}  # in the order in which they came
        self.strays: dict[str, tuple[str, int]] = {}  # of Stripe: month, amount

    def match(self, name: str, bill: Bill) -> None:
        """As much as waits, or as much as is owed, whichever is less."""
        receipt = self.receipts[name]
        amount = min(receipt.waiting, bill.outstanding)
        receipt.matched += 1
        receipt.waiting -= amount
        bill.receive(f"{name}-{receipt.matched}", amount)

    def match_all(self) -> int:
        """What names a statement and comes to what that is owed pays it. How many that were."""
        count = 0
        for name, receipt in self.receipts.items():
            bill = self.bills[receipt.statement]
            if not receipt.undone and 0 < receipt.waiting == bill.outstanding:
                self.match(name, bill)
                count += 1
        return count

    def undo(self, bill: Bill, payment: str) -> None:
        receipt = self.receipts[payment.rpartition("-")[0]]
        receipt.waiting += bill.take_back(payment)
        receipt.undone = True

    def amiss(self, month: str) -> list[Amiss]:
        """Of a month, with the money that came in the month after it and belongs to nothing."""
        after = period.following(month)
        lost = [each.waiting for each in self.receipts.values() if each.booked == after and each.waiting]
        lost += [amount for booked, amount in self.strays.values() if booked == after]
        own = [found for bill in self.bills.values() if bill.month == month for found in bill.amiss()]
        return sorted([*own, *(("payment_without_invoice", "", amount) for amount in lost)])
