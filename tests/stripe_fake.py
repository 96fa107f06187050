"""A small Stripe on 127.0.0.1: it keeps what it is told, honours idempotency keys, and fails when it is asked to.

Customers, invoices and their items, finalize, send, void, credit notes, refunds, payments, disputes, balance
transactions, events, signed notices. Every request and every answer is held against the published schema
(tests/stripe_schema.py); what does not fit is an error of the caller and stays in `mistakes`. What customers, banks and
people at the dashboard do is a method: `pay`, `charge_back`, `refund_by_hand`, `tamper`. Its clock moves one second
with every change, and only then. Money is integer minor units.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from threading import RLock
from typing import Any

import msgspec
import pytest
import stripe

from billing.stripe import API_VERSION, StripeGateway
from tests.stripe_schema import Mistake, blank, check_answer, read_form
from tests.stripe_server import Answer, Server

KEY, SECRET, EMAIL = "sk_test_fake", "whsec_fake", "finance@port.example"
START = datetime(2026, 11, 2, tzinfo=UTC)
LINES_MAX = 250
EMBEDDED_LINES = 10
FEE_BP = 340  # of a payment, in basis points
Kind = str  # lost, dropped, timeout, 401, 403, 409, 429, 500, 500_after


class Refusal(Exception):
    """An error answer of the API."""

    def __init__(self, message: str, *, status: int = 400, kind: str = "invalid_request_error", code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": kind} | ({"code": code} if code else {})


UNDONE = {
    "401": Refusal("Invalid API Key provided: sk_test_****fake", status=401),
    "403": Refusal("The provided key 'rk_test_****fake' does not have the required permissions.", status=403),
    "409": Refusal("Another request with this key is in progress.", status=409, kind="idempotency_error"),
    "429": Refusal("Too many requests.", status=429, code="rate_limit"),
}


class Fault(msgspec.Struct):
    """`kind`: lost (done, then no answer), timeout (done, then silence), dropped (not done, no answer),
    401, 403, 409, 429 (not done), 500 (not done, and remembered under its key), 500_after (done, and so remembered)."""

    kind: Kind
    method: str
    path: str  # part of it
    skip: int  # so many calls go well before
    times: int


class Fake:
    """The state and the API. `url` once it listens."""

    def __init__(self) -> None:
        self.url = ""
        self.at = START
        self.objects: dict[str, dict[str, Any]] = {}  # id -> object, in the order in which they were made
        self.lines: dict[str, list[dict[str, Any]]] = {}  # invoice -> lines
        self.keys: dict[str, tuple[str, int, Any]] = {}
        self.calls: list[tuple[str, str, str]] = []  # method, path, idempotency key; in order
        self.sent: list[tuple[str, str, dict[str, Any]]] = []  # method, path, parameters; of what fits the schema
        self.faults: list[Fault] = []
        self.mistakes: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._counts: Counter[str] = Counter()
        self.lock = RLock()

    # --- for tests: what is there ---

    def gateway(self, *, timeout_seconds: tuple[float, float] = (30, 30)) -> StripeGateway:
        return StripeGateway(KEY, webhook_secret=SECRET, url=self.url, email=EMAIL, timeout_seconds=timeout_seconds)

    def all(self, kind: str, **having: Any) -> list[dict[str, Any]]:
        """Objects of a kind (`invoice`, `refund`, …) in the order in which they were made."""
        found = [each for each in self.objects.values() if each["object"] == kind]
        return [each for each in found if all(each.get(name) == value for name, value in having.items())]

    def invoices_of(self, statement: str) -> list[dict[str, Any]]:
        return [each for each in self.all("invoice") if each["metadata"].get("statement_id") == statement]

    def made(self, path: str) -> int:
        """How often a POST reached this path, repetitions under a key not counted."""
        seen = [(called, key) for method, called, key in self.calls if method == "POST" and called == path]
        return len(set(seen))

    def events(self) -> list[dict[str, Any]]:
        """Every notice, the oldest first."""
        return deepcopy(self.all("event"))

    def signed(
        self, event: dict[str, Any], *, at: datetime | None = None, version: str | None = None, secret: str = SECRET
    ) -> tuple[bytes, str]:
        """Body and `Stripe-Signature` of a notice. `at`: when it is sent, of the machine's clock; None: now."""
        text = json.dumps(event if version is None else event | {"api_version": version})
        timestamp = None if at is None else int(at.timestamp())
        return text.encode(), stripe.WebhookSignature.generate_signature_header(text, secret, timestamp)

    # --- for tests: what goes wrong ---

    def fail(self, kind: Kind, path: str = "", *, method: str = "", skip: int = 0, times: int = 1) -> None:
        """The next call that fits goes wrong, or the one after `skip` of them."""
        self.faults.append(Fault(kind, method, path, skip, times))

    def forget_keys(self) -> None:
        """As Stripe does after a day."""
        self.keys.clear()

    # --- for tests: what others do ---

    def pay(self, invoice: str, amount: int | None = None, *, fee: int | None = None) -> str:
        """A customer pays, all that is owed or less. The payment's id."""
        with self.lock:
            found = self.objects[invoice]
            amount = found["amount_remaining"] if amount is None else amount
            assert found["status"] == "open"
            assert 0 < amount <= found["amount_remaining"]
            intent = self._charged(amount, found["currency"], found["customer"], fee)
            paid = self._make("invoice_payment", "inpay", invoice=invoice, currency=found["currency"], status="paid")
            paid["payment"] = {"type": "payment_intent", "payment_intent": intent["id"]}
            paid["status_transitions"] = {"paid_at": self._tick(), "canceled_at": None}
            paid |= {"amount_paid": amount, "amount_requested": amount}
            found["amount_paid"] += amount
            self._settled(found)
            self._tell("invoice_payment.paid", paid)
            self._tell("payment_intent.succeeded", intent)
            self._tell("charge.succeeded", self.objects[intent["latest_charge"]])
            return str(intent["id"])

    def stray_payment(self, amount: int, currency: str = "cny") -> str:
        """Money that belongs to no invoice."""
        with self.lock:
            return str(self._charged(amount, currency, None, None)["id"])

    def fail_payment(self, invoice: str) -> str:
        """An attempt that brings nothing. The payment's id."""
        with self.lock:
            found = self.objects[invoice]
            intent = self._make("payment_intent", "pi", status="requires_payment_method")
            intent |= {"amount": found["amount_remaining"], "currency": found["currency"], "metadata": {}}
            paid = self._make("invoice_payment", "inpay", invoice=invoice, currency=found["currency"], status="open")
            paid |= {"amount_requested": found["amount_remaining"]}
            paid["payment"] = {"type": "payment_intent", "payment_intent": intent["id"]}
            self._tell("payment_intent.payment_failed", intent)
            self._tell("invoice.payment_failed", found)
            return str(intent["id"])

    def delete_customer(self, customer: str) -> None:
        """Somebody deletes it at the dashboard: it is not listed any more, and no more is shown of it than that."""
        with self.lock:
            self.objects[customer] = {"id": customer, "object": "customer", "deleted": True}

    def credit_by_hand(self, invoice: str, amount: int) -> str:
        """Somebody makes a credit note at the dashboard, on what is still open."""
        with self.lock:
            return str(self._credit_note({"invoice": invoice, "amount": amount, "metadata": {}})["id"])

    def refund_by_hand(self, payment: str, amount: int) -> str:
        """Somebody gives money back at the dashboard, with no credit note."""
        with self.lock:
            return str(self._refund({"payment_intent": payment, "amount": amount})["id"])

    def fail_refund(self, refund: str) -> None:
        """It did not arrive: the money is back."""
        with self.lock:
            found = self.objects[refund]
            entry = self._book("refund_failure", found["amount"], found)
            found |= {"status": "failed", "failure_balance_transaction": entry["id"]}
            self._tell("refund.failed", found)

    def charge_back(self, payment: str, amount: int | None = None) -> str:
        """The customer's bank takes a payment back. The dispute's id."""
        with self.lock:
            charge = self.objects[self.objects[payment]["latest_charge"]]
            charge["disputed"] = True
            found = self._make("dispute", "du", status="needs_response", reason="general", metadata={})
            found |= {"charge": charge["id"], "payment_intent": payment, "currency": charge["currency"]}
            found["amount"] = charge["amount"] if amount is None else amount
            found["balance_transactions"] = [self._book("adjustment", -found["amount"], found)]
            self._tell("charge.dispute.created", found)
            self._tell("charge.dispute.funds_withdrawn", found)
            return str(found["id"])

    def win(self, dispute: str) -> None:
        with self.lock:
            found = self.objects[dispute]
            found["status"] = "won"
            found["balance_transactions"].append(self._book("adjustment", found["amount"], found))
            self._tell("charge.dispute.funds_reinstated", found)

    def tamper(self, invoice: str, line: int | None = None, *, amount: int = 0, **fields: Any) -> None:
        """Somebody edits at the dashboard: a line's amount, or, with `line` None, one line more; or other fields."""
        with self.lock:
            found = self.objects[invoice]
            mine = [each for each in self.lines[invoice] if line is not None and each["metadata"]["line"] == str(line)]
            if amount and mine:
                mine[0] |= {"amount": amount, "subtotal": amount}
            elif amount:
                self._add_line(found, {"amount": amount, "currency": found["currency"]}, "ii_by_hand")
            self._total(found)
            found |= fields
            self._tell("invoice.updated", found)

    def duplicate(self, invoice: str) -> str:
        """A second invoice with the same lines and the same statement, as a bug elsewhere might make one."""
        with self.lock:
            was = self.objects[invoice]
            made = self._make("invoice", "in")
            made |= {**deepcopy(was), "id": made["id"], "created": made["created"], "number": made["id"][-8:]}
            self.lines[made["id"]] = deepcopy(self.lines[invoice])
            self._tell("invoice.created", made)
            return str(made["id"])

    # --- one call ---

    def answer(self, method: str, path: str, query: str, body: str, headers: dict[str, str]) -> Answer:
        """What the server sends back; None where it hangs up. Calls are taken one after another."""
        with self.lock:
            key = headers.get("idempotency-key", "") if method == "POST" else ""
            self.calls.append((method, path, key))
            self.headers.append(headers)
            fault = self._fault(method, path)
            if fault in {"dropped", *UNDONE}:
                return self._failed(fault, method, path)
            try:
                return self._answered(fault, key, (method, path, query, body))
            except Exception as error:
                self.mistakes.append(repr(error))
                raise

    def _answered(self, fault: str, key: str, call: tuple[str, str, str, str]) -> Answer:
        method, path, _, body = call
        said = f"{method} {path} {body}"
        if key and key in self.keys:
            return self._again(said, key, method, path)
        status, told = (500, _internal()) if fault == "500" else self._handled(*call)
        if fault == "500_after":
            status, told = 500, _internal()
        check_answer(method, path, status, told)
        if key and (status < 400 or status >= 500):
            self.keys[key] = (said, status, told)
        return Answer(status, told, hang_up=fault == "lost", silent=fault == "timeout")

    def _fault(self, method: str, path: str) -> str:
        for fault in self.faults:
            if fault.method in {"", method} and fault.path in path:
                if fault.skip:
                    fault.skip -= 1
                elif fault.times:
                    fault.times -= 1
                    return fault.kind
        return ""

    def _failed(self, kind: str, method: str, path: str) -> Answer:
        if kind == "dropped":
            return Answer(0, None, hang_up=True)
        return self._refused(UNDONE[kind], method, path)

    def _refused(self, refusal: Refusal, method: str, path: str) -> Answer:
        told = {"error": refusal.error}
        check_answer(method, path, refusal.status, told)
        return Answer(refusal.status, told)

    def _again(self, said: str, key: str, method: str, path: str) -> Answer:
        before, status, told = self.keys[key]
        if before != said:
            message = f"Keys for idempotent requests can only be used with the same parameters: {key}"
            return self._refused(Refusal(message, kind="idempotency_error"), method, path)
        return Answer(status, told, headers=(("Idempotent-Replayed", "true"),))

    def _handled(self, method: str, path: str, query: str, body: str) -> tuple[int, Any]:
        try:
            params = read_form(method, path, query if method == "GET" else body)
            self.sent.append((method, path, deepcopy(params)))
            return 200, deepcopy(self._do(method, path, params))
        except Refusal as refusal:
            return refusal.status, {"error": refusal.error}
        except Mistake as mistake:
            self.mistakes.append(str(mistake))
            return 400, {"error": {"message": str(mistake), "type": "invalid_request_error"}}

    def _do(self, method: str, path: str, params: dict[str, Any]) -> Any:
        match method, path.removeprefix("/v1/").split("/"):
            case "GET", [listed]:
                return self._list(listed, params)
            case "GET", ["invoices", ref, "lines"]:
                return _page(self._lines(self._known(ref)), params, path)
            case "GET", [_, ref]:
                return self._expanded(self._shown(self._known(ref)), params.get("expand", []))
            case "DELETE", ["invoices", ref]:
                return self._delete(self._known(ref))
            case "POST", ["invoices", ref, "finalize" | "send" | "void" as step]:
                steps = {"finalize": self._finalize, "send": self._send, "void": self._void}
                return self._shown(steps[step](self._known(ref)))
            case "POST", way:
                makers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
                    "customers": self._customer,
                    "invoices": self._invoice,
                    "invoiceitems": self._item,
                    "credit_notes": self._credit_note,
                    "refunds": self._refund,
                    "billing_portal/sessions": self._portal,
                }
                return self._shown(makers["/".join(way)](params))
            case _:
                raise AssertionError((method, path))

    # --- what is made ---

    def _tick(self) -> int:
        self.at = datetime.fromtimestamp(self.at.timestamp() + 1, UTC)
        return int(self.at.timestamp())

    def _make(self, kind: str, prefix: str, **fields: Any) -> dict[str, Any]:
        self._counts[prefix] += 1
        made = blank(kind) | {"id": f"{prefix}_{self._counts[prefix]:06}", "created": self._tick(), **fields}
        self.objects[made["id"]] = made
        return made

    def _known(self, ref: str) -> dict[str, Any]:
        if ref not in self.objects:
            raise Refusal(f"No such object: {ref}", status=404, code="resource_missing")
        return self.objects[ref]

    def _customer(self, params: dict[str, Any]) -> dict[str, Any]:
        made = self._make("customer", "cus", **params)
        self._tell("customer.created", made)
        return made

    def _invoice(self, params: dict[str, Any]) -> dict[str, Any]:
        customer = self._known(params["customer"])
        if customer.get("deleted"):
            raise Refusal(f"No such customer: '{customer['id']}'", code="resource_missing")
        if params.get("collection_method") == "send_invoice" and not customer.get("email"):
            raise Refusal("Missing email. To send invoices to the customer, the customer must have a valid email.")
        if any(each["number"] == params.get("number", "") for each in self.all("invoice")):
            raise Refusal(f"Invoice number {params['number']} is taken.")
        kept = {name: value for name, value in params.items() if name != "pending_invoice_items_behavior"}
        made = self._make("invoice", "in", status="draft", customer_email=customer.get("email"), **kept)
        made.setdefault("metadata", {})
        self.lines[made["id"]] = []
        self._tell("invoice.created", made)
        return made

    def _item(self, params: dict[str, Any]) -> dict[str, Any]:
        invoice = self._known(params["invoice"])
        if invoice["status"] != "draft":
            raise Refusal("This invoice is no longer editable.", code="invoice_not_editable")
        if params["currency"] != invoice["currency"] or params["customer"] != invoice["customer"]:
            raise Refusal("The item does not fit the invoice's currency or customer.")
        if len(self.lines[invoice["id"]]) >= LINES_MAX:
            raise Refusal(f"An invoice has at most {LINES_MAX} items.")
        made = self._make("invoiceitem", "ii", quantity_decimal="1", **params)
        made |= {"date": made.pop("created"), "quantity": 1}
        self._add_line(invoice, params, made["id"])
        self._total(invoice)
        return made

    def _add_line(self, invoice: dict[str, Any], params: dict[str, Any], item: str) -> None:
        kept = ("amount", "currency", "description", "discountable", "metadata", "period")
        self._counts["il"] += 1
        line = blank("line_item") | {name: params[name] for name in kept if name in params}
        details = {"invoice_item": item, "proration": False, "proration_details": None, "subscription": None}
        parent = {"type": "invoice_item_details", "invoice_item_details": details, "subscription_item_details": None}
        line |= {"id": f"il_{self._counts['il']:06}", "invoice": invoice["id"], "parent": parent}
        self.lines[invoice["id"]].append(line | {"subtotal": line["amount"]})

    def _total(self, invoice: dict[str, Any]) -> None:
        total = sum(line["amount"] for line in self.lines[invoice["id"]])
        credited = invoice["pre_payment_credit_notes_amount"]
        owed = max(0, total - credited)
        invoice |= {"total": total, "subtotal": total, "amount_due": owed}
        invoice["amount_remaining"] = owed - invoice["amount_paid"]

    def _finalize(self, invoice: dict[str, Any]) -> dict[str, Any]:
        if invoice["status"] != "draft":
            raise Refusal("This invoice is already finalized.", code="invoice_not_editable")
        page = f"{self.url}/pay/{invoice['id']}"
        number = invoice["number"] or f"FAKE-{self._counts['in']:04}"
        invoice |= {"status": "open", "number": number, "hosted_invoice_url": page, "invoice_pdf": f"{page}.pdf"}
        invoice["effective_at"] = invoice["status_transitions"]["finalized_at"] = self._tick()
        self._tell("invoice.finalized", invoice)
        return invoice

    def _send(self, invoice: dict[str, Any]) -> dict[str, Any]:
        if invoice["status"] != "open":
            raise Refusal(f"An invoice that is {invoice['status']} cannot be sent.")
        self._tell("invoice.sent", invoice)
        return invoice

    def _void(self, invoice: dict[str, Any]) -> dict[str, Any]:
        if invoice["status"] not in {"open", "uncollectible"}:
            raise Refusal(f"An invoice that is {invoice['status']} cannot be voided.")
        invoice["status"] = "void"
        invoice["status_transitions"]["voided_at"] = self._tick()
        self._tell("invoice.voided", invoice)
        return invoice

    def _delete(self, invoice: dict[str, Any]) -> dict[str, Any]:
        if invoice["status"] != "draft":
            raise Refusal("Only drafts can be deleted.")
        del self.objects[invoice["id"]]
        self._tell("invoice.deleted", invoice)
        return {"id": invoice["id"], "object": "invoice", "deleted": True}

    def _portal(self, params: dict[str, Any]) -> dict[str, Any]:
        self._known(params["customer"])
        made = self._make("billing_portal.session", "bps", configuration="bpc_1", **params)
        return made | {"url": f"{self.url}/portal/{made['id']}"}

    # --- money ---

    def _charged(self, amount: int, currency: str, customer: str | None, fee: int | None) -> dict[str, Any]:
        about = {"amount": amount, "currency": currency, "customer": customer, "metadata": {}}
        intent = self._make("payment_intent", "pi", status="succeeded", **about)
        charge = self._make("charge", "py", status="succeeded", paid=True, captured=True, **about)
        charge |= {"amount_captured": amount, "payment_intent": intent["id"]}
        entry = self._book("payment", amount, charge, (amount * FEE_BP + 5_000) // 10_000 if fee is None else fee)
        charge["balance_transaction"] = entry["id"]
        intent["latest_charge"] = charge["id"]
        return intent

    def _book(self, kind: str, amount: int, source: dict[str, Any], fee: int = 0) -> dict[str, Any]:
        entry = self._make("balance_transaction", "txn", type=kind, reporting_category=kind, status="available")
        entry |= {"amount": amount, "currency": source["currency"], "fee": fee, "net": amount - fee}
        return_to = {"source": source["id"], "balance_type": "payments", "available_on": entry["created"]}
        entry |= return_to
        return entry

    def _settled(self, invoice: dict[str, Any]) -> None:
        self._total(invoice)
        if invoice["amount_remaining"] == 0 and invoice["status"] == "open":
            invoice["status"] = "paid"
            invoice["status_transitions"]["paid_at"] = self._tick()
            self._tell("invoice.paid", invoice)
        else:
            self._tell("invoice.updated", invoice)

    def _credit_note(self, params: dict[str, Any]) -> dict[str, Any]:
        invoice, amount = self._known(params["invoice"]), params["amount"]
        if invoice["status"] not in {"open", "paid"}:
            raise Refusal(f"An invoice that is {invoice['status']} takes no credit note.")
        before = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
        if amount <= 0 or amount > invoice["total"] - before:
            raise Refusal("The credit note is larger than what is left of the invoice.")
        pre = min(amount, invoice["amount_remaining"])
        apart = sum(params.get(name, 0) for name in ("refund_amount", "credit_amount", "out_of_band_amount"))
        if amount - pre != apart:
            raise Refusal(f"Say how {amount - pre} that was paid is given back; you said {apart}.")
        made = self._make("credit_note", "cn", status="issued", invoice=invoice["id"], customer=invoice["customer"])
        made |= {"amount": amount, "total": amount, "subtotal": amount, "currency": invoice["currency"]}
        made |= {"pre_payment_amount": pre, "post_payment_amount": apart, "number": f"{invoice['number']}-CN"}
        made |= {"memo": params.get("memo"), "metadata": params.get("metadata"), "pdf": f"{self.url}/{made['id']}.pdf"}
        made |= {"out_of_band_amount": params.get("out_of_band_amount")}
        made["type"] = "mixed" if pre and apart else "pre_payment" if pre else "post_payment"
        invoice["pre_payment_credit_notes_amount"] += pre
        invoice["post_payment_credit_notes_amount"] += apart
        self._settled(invoice)
        self._tell("credit_note.created", made)
        return made

    def _refund(self, params: dict[str, Any]) -> dict[str, Any]:
        intent = self._known(params["payment_intent"])
        charge = self.objects[intent["latest_charge"]]
        if not 0 < params["amount"] <= charge["amount"] - charge["amount_refunded"]:
            raise Refusal("The refund is larger than what is left of the charge.", code="charge_already_refunded")
        made = self._make(
            "refund", "re", status="succeeded", currency=charge["currency"], charge=charge["id"], **params
        )
        made.setdefault("metadata", {})
        made["balance_transaction"] = self._book("payment_refund", -made["amount"], made)["id"]
        charge["amount_refunded"] += made["amount"]
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self._tell("charge.refunded", charge)
        self._tell("refund.created", made)
        return made

    def _tell(self, kind: str, about: dict[str, Any]) -> None:
        made = self._make("event", "evt", type=kind, api_version=API_VERSION)
        made["data"] = {"object": deepcopy(self._shown(about))}

    # --- what is shown ---

    def _lines(self, invoice: dict[str, Any]) -> list[dict[str, Any]]:
        return self.lines.get(invoice["id"], [])

    def _shown(self, found: dict[str, Any]) -> dict[str, Any]:
        """An invoice with the first of its lines; anything else as it is."""
        if found["object"] != "invoice":
            return found
        lines, url = self._lines(found), f"/v1/invoices/{found['id']}/lines"
        first = {"object": "list", "url": url, "data": lines[:EMBEDDED_LINES], "has_more": len(lines) > EMBEDDED_LINES}
        return found | {"lines": first}

    def _list(self, listed: str, params: dict[str, Any]) -> dict[str, Any]:
        standing = [each for each in self.all(listed.removesuffix("s")) if not each.get("deleted")]
        found = [each for each in standing if _fits(each, params)]
        page = _page([self._shown(each) for each in reversed(found)], params, f"/v1/{listed}")
        below = [each.removeprefix("data.") for each in params.get("expand", [])]
        return page | {"data": [self._expanded(each, below) for each in page["data"]]}

    def _expanded(self, found: dict[str, Any], ways: list[str]) -> dict[str, Any]:
        for way in ways:
            name, _, rest = way.partition(".")
            ref = found[name]
            if isinstance(ref, str):
                inner = self._expanded(self._shown(self._known(ref)), [rest] if rest else [])
                found = found | {name: inner}
        return found


def _fits(found: dict[str, Any], params: dict[str, Any]) -> bool:
    created = params.get("created", {})
    names = ("customer", "invoice", "status", "payment_intent", "charge")
    same = all(found.get(name) == params[name] for name in names if name in params)
    paid = params.get("payment", {}).get("payment_intent")
    about = not paid or found["payment"].get("payment_intent") == paid
    return same and about and created.get("gte", 0) <= found["created"] < created.get("lt", 1 << 40)


def _page(found: list[dict[str, Any]], params: dict[str, Any], url: str) -> dict[str, Any]:
    start, limit = 0, params.get("limit", 10)
    if after := params.get("starting_after"):
        start = [each["id"] for each in found].index(after) + 1
    more = len(found) > start + limit
    return {"object": "list", "url": url, "data": found[start : start + limit], "has_more": more}


def _internal() -> dict[str, Any]:
    return {"error": {"message": "Something went wrong on Stripe's end.", "type": "api_error"}}


@contextmanager
def listening() -> Iterator[Fake]:
    """A fake that listens. At the end nothing may have been asked or answered that the published schema forbids."""
    fake = Fake()
    with Server(fake.answer) as server:
        fake.url = server.url
        yield fake
    assert fake.mistakes == []


@pytest.fixture
def fake() -> Iterator[Fake]:
    with listening() as started:
        yield started
