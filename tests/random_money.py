"""Random months carried on to the money: each statement is invoiced, and each invoice has a fate of its own.

Everything is the real thing: billing/drafting.py issues, billing/invoicing.py asks, the machine of `kouan pay` sends
(billing/outbox.py) and hears (billing/inbox.py), the bank's files are imported and matched (billing/bank_matching.py),
finance credits, refunds and voids (billing/giving_back.py). Only Stripe is the small one of tests/stripe_fake.py. A
fate is a row of steps; what cannot be done at that moment is passed over. tests/money_oracle.py notes what was done.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from api.paying_process import Payer
from api.pool import open_pool
from billing import bank_books, bank_csv, bank_matching, giving_back, inbox, invoicing, taking
from billing.bank import BankGateway
from billing.bank_matching import Decision
from billing.gateway import Gateway
from billing.giving_back import Request
from billing.reconcile import reconcile
from domain import bank_receipt, fact, fapiao, period
from domain.fapiao import Fapiao, FapiaoRecorded, FapiaoReddened
from domain.reconciliation import Break
from domain.statement import Statement
from projections import runner
from projections.runner import ReadModel
from tests.bank_world import ACCOUNT, TITLES
from tests.money_oracle import Bill, Oracle, Receipt
from tests.random_fates import STEPS, Fate, Heard, Month, Provider
from tests.random_orders import Orders
from tests.stripe_fake import Fake

BEAT, DAY = timedelta(hours=2), timedelta(days=1)
FAR = datetime(2100, 1, 1, tzinfo=UTC)
WAITING = """
SELECT 'notice', event_id, error FROM gateway_inbox WHERE state <> 'done'
UNION ALL
SELECT step, statement, error FROM gateway_steps WHERE state <> 'done'
"""
"""What the machine puts off, or has stopped at."""

# --- the world ---


class Money(Orders):
    """The books with their invoices. Each example is collected by one provider; both are reconciled."""

    provider: Provider = "bank"
    heard: Heard = "notices"

    def __init__(self, conninfo: str, models: Sequence[ReadModel], fake: Fake) -> None:
        [usage] = [each for each in models if each.name == "usage"]
        super().__init__(conninfo, usage)
        self.models, self.fake, self.oracle = models, fake, Oracle()
        self.pool, self.line = open_pool(conninfo), self.journal.connect(autocommit=True)
        self.stripe = fake.gateway()
        self.now = self.heard_at = fake.at = period.bounds(self.month)[0]
        self.steps: dict[str, Callable[[Bill, int], None]] = {
            name.removeprefix("_"): getattr(self, name) for name in (f"_{step}" for step in STEPS if step != "wait")
        }
        self.agenda: list[tuple[Bill, Fate, list[str]]] = []
        self.rows: list[str] = []  # of the bank's next file
        self.last: list[str] = []  # of its last one
        self.by_hand: list[tuple[str, Bill]] = []  # receipts that are matched when they are there
        self.told_events = 0
        self.sound = True  # every example before has gone well
        self.done: Counter[str] = Counter()

    def close(self) -> None:
        self.line.close()
        self.pool.close()
        super().close()

    def catch_up(self) -> None:
        runner.catch_up(self.connection, self.journal, self.models)

    @property
    def gateways(self) -> list[Gateway]:
        return [BankGateway(self.pool), self.stripe]

    @property
    def gateway(self) -> Gateway:
        return self.gateways[["bank", "stripe"].index(self.provider)]

    def begin_at(self, provider: Provider) -> list[str]:
        """A new example. Of the ones before, Stripe shows nothing any more."""
        self.provider, self.agenda, self.rows, self.by_hand = provider, [], [], []
        for kept in (self.fake.objects, self.fake.lines, self.fake.keys, self.fake.calls, self.fake.sent):
            kept.clear()
        self.fake.headers.clear()
        self.oracle.strays.clear()
        self.told_events, self.stripe = 0, self.fake.gateway()
        return self.begin()

    # --- a month's invoices ---

    def bill(self, month: Month, issued: Sequence[Statement]) -> None:
        """In the days after a month: have its invoices sent, and go on with every fate as far as it waits."""
        played = period.preceding(self.month)
        self.now = self.fake.at = max(self.now, self.fake.at, period.bounds(self.month)[0] + DAY)
        self.heard = month.heard
        invoicing.ask(self.connection, self.provider, due_days=30, by="clerk", at=self.now, month=played)
        self.send(month)
        payable = [each for each in issued if each.payable_minor]
        for each, fate in zip(payable, month.fates, strict=False):
            made = Bill(each.number, played, each.payable_minor, self.provider)
            self.oracle.bills[each.number] = made
            self.agenda.append((made, fate, list(fate.steps)))
        self.go_on()

    def send(self, month: Month) -> None:
        """Whatever goes wrong on the way is tried again until it is well."""
        if month.fault and self.provider == "stripe":
            self.fake.fail(month.fault, skip=month.skip)
        for _ in range(4):
            self.work()
            self.now += BEAT
        self.fake.faults.clear()

    def go_on(self) -> None:
        """One step of each invoice after another, until each waits for the next month or has no more."""
        waiting = [each for each in self.agenda if each[2]]
        while waiting:
            for bill, fate, steps in list(waiting):
                step = steps.pop(0)
                if step != "wait":
                    self.steps[step](bill, fate.share)
                if step == "wait" or not steps:
                    waiting.remove((bill, fate, steps))
            self.beat()
        assert self.now < period.bounds(self.month)[1]

    def finish(self) -> None:
        """Nothing waits any longer: the rest of each fate, and what the machine still puts off."""
        while any(steps for _, _, steps in self.agenda):
            self.go_on()
        for _ in range(8):
            if self.connection.execute(WAITING).fetchone():
                self.beat()
        assert self.connection.execute(WAITING).fetchone() is None

    def beat(self) -> None:
        """What was asked for goes out, the bank's file comes in, and what happened becomes known."""
        self.now = max(self.now, self.fake.at) + BEAT
        self.fake.at = self.now
        self.work()
        self.import_file()
        self.hear()
        self.now += BEAT
        self.work()

    def work(self) -> None:
        """Turns of the machine until nothing is due."""
        payer = Payer(self.line, self.journal, self.gateways)
        while payer.turn(self.now):
            pass
        self.catch_up()

    def hear(self) -> None:
        """Of Stripe: its notices, the newest first and then all once more; or what a sweep finds."""
        told = self.fake.all("event")[self.told_events :]
        self.told_events += len(told)
        self.now, since, self.heard_at = max(self.now, self.fake.at), self.heard_at, self.fake.at
        if self.heard == "sweep":
            Payer(self.line, self.journal, [self.stripe]).sweep(self.now, since)
        for each in (*reversed(told), *told) if self.heard == "notices" else ():
            body, signature = self.fake.signed(each)
            event = self.stripe.read_event(body, signature)
            inbox.take(self.connection, "stripe", event, body, signature, at=self.now)

    # --- the bank ---

    def import_file(self) -> None:
        """Rows that are known already come once more with the new ones; refunds that are to be paid were paid."""
        refunds = bank_books.refunds(self.connection)
        new = self.rows + [self.row(each.refund, out=each.amount_minor) for each in refunds]
        if new:
            file = bank_csv.read("\n".join([TITLES, *self.last, *new]).encode())
            done = bank_matching.take(self.connection, self.writer, file, by="clerk", at=self.now)
            known, matched = len(self.last), self.oracle.match_all() + len(refunds)
            assert (done.new, done.repeated, done.matched, done.unread) == (len(new), known, matched, [])
            self.rows, self.last = [], new
        for receipt, bill in self.by_hand:
            self.match(receipt, bill)
        self.by_hand.clear()

    def row(self, text: str, *, into: int = 0, out: int = 0) -> str:
        amounts = (f"{amount / 100:.2f}" if amount else "" for amount in (into, out))
        at = self.now.astimezone(period.ZONE)
        return f"{ACCOUNT},T{self.next()},{at:%Y-%m-%d %H:%M:%S},{','.join(amounts)},外贸企业,62220000,{text}"

    def transfer(self, bill: Bill, amount: int) -> str:
        """A row of the bank's next file; the receipt that it will be."""
        row = self.row(f"货款 {bill.statement}", into=amount)
        self.rows.append(row)
        name = bank_receipt.identity(ACCOUNT, row.split(",")[1])
        self.oracle.receipts[name] = Receipt(bill.statement, amount, period.month_of(self.now))
        return name

    def match(self, receipt: str, bill: Bill) -> None:
        if self.oracle.receipts[receipt].waiting and bill.outstanding > 0:
            about: dict[str, Any] = {"by": "clerk", "at": self.now, "reason": "by hand"}
            matching = bank_matching.matching(self.connection, self.writer, bill.statement, None, **about)
            self.decide(receipt, matching)
            self.oracle.match(receipt, bill)

    def decide(self, receipt: str, decision: Decision) -> None:
        assert bank_matching.decide(self.connection, self.writer, receipt, decision, self.key()).new

    def key(self) -> Any:
        return fact.digest_id("request", str(self.next()))

    # --- steps: what each does, and what the oracle notes of it ---

    def note(self, step: str) -> None:
        self.done[f"{self.provider} {step}"] += 1

    def _pay(self, bill: Bill, _: int) -> None:
        self.received("pay", bill, bill.outstanding)

    def _part(self, bill: Bill, share: int) -> None:
        if bill.outstanding > 1:
            self.received("part", bill, max(1, bill.outstanding * share // 100))

    def _over(self, bill: Bill, share: int) -> None:
        """More than is owed: at the bank in one sum, at Stripe beside the invoice."""
        if bill.provider == "bank":
            self.received("over", bill, bill.outstanding, share)
        else:
            stray = self.fake.stray_payment(share)
            self.oracle.strays[stray] = (period.month_of(self.fake.at), share)
            self.received("over", bill, bill.outstanding)

    def received(self, step: str, bill: Bill, amount: int, more: int = 0) -> None:
        if amount <= 0:
            return
        if bill.provider == "bank":
            receipt = self.transfer(bill, amount + more)
            if step != "pay":
                self.by_hand.append((receipt, bill))
        elif amount := min(amount, self.shown(bill)["amount_remaining"]):
            bill.receive(self.fake.pay(self.shown(bill)["id"], amount), amount)
        self.note(step)

    def shown(self, bill: Bill) -> dict[str, Any]:
        """The invoice as Stripe's dashboard has it."""
        return self.fake.invoices_of(bill.statement)[-1]

    def _fail(self, bill: Bill, _: int) -> None:
        if bill.provider == "stripe" and self.shown(bill)["status"] == "open":
            self.fake.fail_payment(self.shown(bill)["id"])
            bill.failed += 1
            self.note("fail")

    def _credit(self, bill: Bill, share: int) -> None:
        amount = (bill.total - bill.credited) * share // 100
        if amount and not bill.voided:
            self.ask("credit", bill, amount_minor=amount)
            bill.credit(amount)

    def _refund(self, bill: Bill, share: int) -> None:
        self.refund("refund", bill, share)

    def _refund_all(self, bill: Bill, _: int) -> None:
        self.refund("refund_all", bill, 100)

    def refund(self, step: str, bill: Bill, share: int) -> None:
        for payment in bill.payments:
            if most := bill.refundable(payment):
                amount = max(1, most * share // 100)
                self.ask(step, bill, payment=payment, amount_minor=amount)
                bill.refund(payment, amount)
                return

    def _void(self, bill: Bill, _: int) -> None:
        touched = bill.gross if bill.provider == "stripe" else bill.paid
        if not (bill.voided or touched or bill.credited):
            self.ask("void", bill)
            bill.voided, bill.voids = True, bill.voids + 1

    def _again(self, bill: Bill, _: int) -> None:
        if bill.voided:
            assert invoicing.again(self.connection, bill.statement, at=self.now)
            bill.voided = False
            self.note("again")

    def ask(self, step: str, bill: Bill, **more: Any) -> None:
        """Of finance."""
        act = {"credit": giving_back.credit, "void": giving_back.void}.get(step, giving_back.refund)
        asked = Request(statement=bill.statement, id=self.key(), reason="多收 / too much", by="clerk", **more)
        assert act(self.connection, self.journal, asked, at=self.now)
        self.note(step)

    def _reverse(self, bill: Bill, _: int) -> None:
        """A match undone; at Stripe a charge-back."""
        payment = next((name for name in bill.payments if bill.payments[name] and not bill.refunded.get(name)), None)
        if payment is None:
            return
        if bill.provider == "bank":
            about: dict[str, Any] = {"by": "clerk", "at": self.now, "reason": "wrong"}
            receipt = payment.rpartition("-")[0]
            self.decide(receipt, bank_matching.undoing(self.connection, payment, **about))
            self.oracle.undo(bill, payment)
        elif payment not in bill.disputes:
            bill.disputes[payment] = self.fake.charge_back(payment)
            bill.take_back(payment)
        self.note("reverse")

    def _mend(self, bill: Bill, _: int) -> None:
        """What was taken back comes again: matched by hand; at Stripe the dispute is won."""
        if bill.provider == "bank":
            self.spend("mend", bill, bill.statement)
            return
        for payment in [each for each in bill.disputes if not bill.payments[each]]:
            self.fake.win(bill.disputes[payment])
            bill.payments[payment] = self.fake.objects[bill.disputes[payment]]["amount"]
            self.note("mend")

    def _spare(self, bill: Bill, _: int) -> None:
        """What is left of any receipt pays this one."""
        self.spend("spare", bill, "")

    def spend(self, step: str, bill: Bill, of: str) -> None:
        for name, receipt in self.oracle.receipts.items() if bill.outstanding > 0 and bill.provider == "bank" else ():
            if receipt.waiting and of in {"", receipt.statement} and not self.coming(name):
                self.match(name, bill)
                self.note(step)
                return

    def coming(self, receipt: str) -> bool:
        """Whether it stands in the bank's next file only."""
        return any(bank_receipt.identity(ACCOUNT, row.split(",")[1]) == receipt for row in self.rows)

    def _left(self, bill: Bill, _: int) -> None:
        """Money that belongs to nothing goes back."""
        for name, receipt in self.oracle.receipts.items():
            if receipt.statement == bill.statement and receipt.waiting and not self.coming(name):
                self.decide(name, self.giving_back)
                receipt.waiting = 0
                self.note("left")
        for stray in list(self.oracle.strays):
            self.fake.refund_by_hand(stray, self.oracle.strays.pop(stray)[1])
            self.note("left")

    def giving_back(self, state: bank_receipt.Receipt) -> bank_receipt.Told:
        about: dict[str, Any] = {"reason": "not ours", "reference": "", "by": "clerk", "at": self.now}
        return bank_receipt.give_back(state, state.waiting_minor, **about), ()

    def _dashboard(self, bill: Bill, share: int) -> None:
        """Planted: somebody gives money back at Stripe, on no credit note."""
        for payment in bill.payments if bill.provider == "stripe" else ():
            if amount := bill.left(payment) * share // 100:
                self.fake.refund_by_hand(payment, amount)
                bill.refunded[payment] = bill.refunded.get(payment, 0) + amount
                bill.bare.append(amount)
                self.note("dashboard")
                return

    # --- fapiao ---

    def _fapiao(self, bill: Bill, _: int) -> None:
        due = bill.total - bill.credited
        if due and not bill.voided and not bill.fapiao:
            self.record(bill, FapiaoRecorded, due)
            self.note("fapiao")

    def _red(self, bill: Bill, _: int) -> None:
        over = sum(bill.fapiao.values()) - (bill.total - bill.credited)
        if over > 0 and not bill.voided:
            self.record(bill, FapiaoReddened, -over)
            self.note("red")

    def record(self, bill: Bill, kind: type[FapiaoRecorded | FapiaoReddened], amount: int) -> None:
        number, stream = f"{self.next():020}", fapiao.stream(bill.statement)
        state = Fapiao(bill.statement)
        for entry in self.journal.stream(self.connection, stream):
            state = fapiao.evolve(state, entry.fact)
        about: dict[str, Any] = {"happened_at": self.now, "recorded_at": self.now, "by": "clerk", "number": number}
        about |= {"statement": bill.statement, "kind": "ordinary", "issued_on": self.now.date()}
        about |= {"net_minor": amount, "tax_minor": 0, "total_minor": amount}
        if kind is FapiaoRecorded:
            told = fapiao.record(state, FapiaoRecorded(**about))
        else:
            more: dict[str, Any] = {"original": next(iter(bill.fapiao)), "confirmation": number, "reason": "credited"}
            told = fapiao.redden(state, FapiaoReddened(**about, **more))
        for each in told:
            self.tell(stream, each)
        bill.fapiao[number] = amount

    # --- the month again ---

    def breaks(self, month: str) -> list[Break]:
        """What reconciliation finds, as api/reconciling.py compares."""
        with taking.one_view(self.connection):
            ours, statements = taking.ours(self.connection, month), taking.statements(self.connection, month)
        return reconcile(ours, statements, taking.provider(self.connection, self.gateways, month, FAR))
