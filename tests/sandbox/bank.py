"""The bank: parent accounts with virtual sub-units, transfers, payouts, statements."""

import re
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from tests.sandbox import statements
from tests.sandbox.journal import SHANGHAI, Fact, Journal
from tests.sandbox.push import Pusher
from tests.sandbox.statements import Booking
from tests.sandbox.web import Answer, Refused, Request, answer

MOST_FEN = 10**13
CREDIT_LINE_FEN = 100_000_000  # how far below zero an account may go: one million yuan
CLOSED = "9999"  # payee accounts that begin so are closed: a refusal to order
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True)
class Limit:
    """What a unit refuses before anything is booked."""

    cap_fen: int | None = None
    payer_account: str = ""

    def check(self, amount_fen: int, payer_account: str) -> None:
        if self.cap_fen is not None and amount_fen > self.cap_fen:
            most = f"{self.cap_fen // 100}.{self.cap_fen % 100:02d}"
            raise Refused(422, "ABOVE_CAP", f"超过收款上限 {most} 元，款项未扣")
        if self.payer_account and payer_account != self.payer_account:
            raise Refused(422, "PAYER_NOT_ALLOWED", "该账号只接受指定付款账号的转账，款项未扣")


@dataclass
class Account:
    number: str
    opening_fen: int = 0
    units: set[str] = field(default_factory=set)
    limits: dict[str, Limit] = field(default_factory=dict)  # by unit
    bookings: list[Booking] = field(default_factory=list)
    balance_fen: int = 0


class Bank:
    """State in memory, guarded by the journal's lock; every change is a fact of the journal."""

    def __init__(self, journal: Journal, pusher: Pusher) -> None:
        self._journal = journal
        self._pusher = pusher
        self._counter = 0
        self.clear()
        journal.on("account", self._open)
        journal.on("units", self._add_units)
        journal.on("limit", self._set_limit)
        journal.on("booking", self._book)
        journal.on("payout", self._note_payout)
        journal.on("pushed", self._note_pushed)

    def clear(self) -> None:
        self.accounts: dict[str, Account] = {}
        self._owner: dict[str, str] = {}  # virtual account -> parent
        self._payouts: dict[str, Fact] = {}
        self._by_serial: dict[str, tuple[str, Booking]] = {}
        self._unpushed: dict[str, Fact] = {}

    # --- the protocol

    def register_units(self, request: Request) -> Answer:
        asked = _object(request)
        parent = _digits(asked, "parent_account", 8, 22)
        units = asked.get("units")
        if not isinstance(units, list) or not all(_is_unit(unit) for unit in units):
            raise Refused(400, "BAD_UNITS", "units must be strings of 1 to 10 digits")
        with self._journal.lock:
            self._ensure(parent)
            for number in (parent + unit for unit in units):
                if number in self.accounts or self._owner.get(number, parent) != parent:
                    raise Refused(409, "UNIT_TAKEN", f"{number} is another account")
            new = sorted(set(units) - self.accounts[parent].units)
            if new:
                self._journal.record("units", parent=parent, units=new)
        return answer({"registered": len(set(units))})

    def limit_unit(self, request: Request) -> Answer:
        """The whole limit of a unit, said anew each time."""
        asked = _object(request)
        parent, unit = _digits(asked, "parent_account", 8, 22), asked.get("unit")
        cap = asked.get("cap_fen")
        if cap is not None and (type(cap) is not int or not 0 <= cap <= MOST_FEN):
            raise Refused(400, "BAD_AMOUNT", "cap_fen is a whole number or null")
        payer = _text(asked, "payer_account", 34)
        with self._journal.lock:
            if parent not in self.accounts or unit not in self.accounts[parent].units:
                raise Refused(404, "UNIT_UNKNOWN", "no such unit")
            self._journal.record(
                "limit", parent=parent, unit=unit, cap_fen=cap, payer_account=payer
            )
        return answer({"unit": unit, "cap_fen": cap, "payer_account": payer})

    def transfer(self, request: Request) -> Answer:
        """A buyer's mobile bank; also the form of the page, in yuan."""
        asked = _form(request) if request.is_form else _object(request)
        number = _digits(asked, "account_no", 8, 32)
        other = {
            "payer_name": _text(asked, "payer_name", 60, required=True),
            "payer_account": _text(asked, "payer_account", 34),
            "payer_bank": "沙箱银行上海分行",
            "remark": _text(asked, "remark", 140),
        }
        amount = _amount(asked)
        with self._journal.lock:
            parent = self._owner.get(number, number)
            if parent not in self.accounts:
                raise Refused(404, "ACCOUNT_UNKNOWN", "收款账号不存在")
            virtual = number if number != parent else None
            limit = self.accounts[parent].limits.get(number.removeprefix(parent), Limit())
            limit.check(amount, other["payer_account"])
            booking = self._make(amount, "C", virtual_account=virtual, **other)
            self._commit(parent, booking)
        return answer({"serial": booking.serial, "booked_at": booking.booked_at.isoformat()}, 201)

    def pay_out(self, request: Request) -> Answer:
        asked = _object(request)
        order = {
            "out_no": _text(asked, "out_no", 64, required=True),
            "account_no": _digits(asked, "account_no", 8, 22),
            "to_account": _text(asked, "to_account", 34, required=True),
            "to_name": _text(asked, "to_name", 60, required=True),
            "amount_fen": _amount(asked),
            "remark": _text(asked, "remark", 140),
        }
        with self._journal.lock:
            done = self._payouts.get(order["out_no"])
            if done is None:
                done = self._pay(order)
            elif done["order"] != order:
                raise Refused(409, "OUT_NO_REUSED", "this out_no paid something else")
        return answer(_paid(done))

    def payout(self, request: Request) -> Answer:
        done = self._payouts.get(request.path.rpartition("/")[2])
        if done is None:
            raise Refused(404, "PAYOUT_UNKNOWN", "no payout of this out_no")
        return answer(_paid(done))

    def statement(self, request: Request) -> Answer:
        """A person's download, in the format that was chosen."""
        return self._file(request, request.query.get("format", ""))

    def file(self, request: Request) -> Answer:
        """The shop's own, signed both ways; this bank prints what 招商银行 prints."""
        return self._file(request, "cmb_xlsx")

    def _file(self, request: Request, format: str) -> Answer:
        if format not in statements.FORMATS:
            raise Refused(400, "BAD_FORMAT", f"format is one of {', '.join(statements.FORMATS)}")
        try:
            day = date.fromisoformat(request.query.get("date", ""))
        except ValueError:
            raise Refused(400, "BAD_DATE", "date is YYYY-MM-DD") from None
        account = self.accounts.get(request.query.get("account_no", ""))
        if account is None:
            raise Refused(404, "ACCOUNT_UNKNOWN", "no such parent account")
        opening, bookings = self.day(account, day)
        kind = statements.FORMATS[format]
        name = f"{account.number}-{day:%Y%m%d}-{format}.{kind.suffix}"
        return Answer(
            body=statements.render(format, account.number, day, opening, bookings),
            content_type=kind.content_type,
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    # --- what the page and the control calls need

    def today(self) -> date:
        return self._now().date()

    def day(self, account: Account, day: date) -> tuple[int, list[Booking]]:
        """Opening balance in fen and the bookings of that day, oldest first."""
        with self._journal.lock:
            before = [one for one in account.bookings if one.booked_at.date() < day]
            of_day = [one for one in account.bookings if one.booked_at.date() == day]
        return account.opening_fen + sum(one.signed_fen for one in before), of_day

    def open_account(self, asked: dict[str, Any]) -> Answer:
        number = _digits(asked, "account_no", 8, 22)
        with self._journal.lock:
            self._ensure(number, int(asked.get("opening_fen", 0)))
        return answer({"account_no": number}, 201)

    def reverse(self, asked: dict[str, Any]) -> Answer:
        with self._journal.lock:
            if asked.get("serial") not in self._by_serial:
                raise Refused(404, "SERIAL_UNKNOWN", "no such booking")
            parent, credit = self._by_serial[asked["serial"]]
            taken_back = self._make(
                credit.amount_fen,
                "D" if credit.direction == "C" else "C",
                payer_name=credit.payer_name,
                payer_account=credit.payer_account,
                payer_bank=credit.payer_bank,
                remark=credit.remark,
                virtual_account=credit.virtual_account,
                reverses=credit.serial,
            )
            self._commit(parent, taken_back)
        return answer({"serial": taken_back.serial}, 201)

    def push_again(self) -> None:
        """After a restart: what the shop has not yet taken."""
        for event in list(self._unpushed.values()):
            self._pusher.push(event)

    # --- inside, under the lock

    def _pay(self, order: Fact) -> Fact:
        parent = order["account_no"]
        self._ensure(parent)
        if order["to_account"].startswith(CLOSED):
            raise Refused(422, "PAYEE_ACCOUNT_CLOSED", "收款账号已销户")
        if self.accounts[parent].balance_fen + CREDIT_LINE_FEN < order["amount_fen"]:
            raise Refused(422, "INSUFFICIENT_FUNDS", "账户余额不足")
        booking = self._make(
            order["amount_fen"],
            "D",
            payer_name=order["to_name"],
            payer_account=order["to_account"],
            payer_bank="沙箱银行上海分行",
            remark=order["remark"],
        )
        # The promise of the same answer is written with the money: one fact, then its push.
        self._journal.record("payout", order=order, serial=booking.serial, booking=_plain(booking))
        self._announce(parent, booking)
        return self._payouts[order["out_no"]]

    def _commit(self, parent: str, booking: Booking) -> None:
        self._journal.record("booking", parent=parent, booking=_plain(booking))
        self._announce(parent, booking)

    def _announce(self, parent: str, booking: Booking) -> None:
        self._pusher.push(self._unpushed[event(parent, booking)["event_id"]])

    def _make(self, amount_fen: int, direction: str, **other: Any) -> Booking:
        now = self._now()
        # 14 digits of time and 6 of a counter: unique over restarts and resets of this bank.
        serial = f"{now:%Y%m%d%H%M%S}{self._counter % 1_000_000:06d}"
        self._counter += 1
        return Booking(serial, now, amount_fen, direction, **other)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._journal.now()), SHANGHAI)

    def _ensure(self, number: str, opening_fen: int = 0) -> None:
        if number in self._owner:
            raise Refused(409, "ACCOUNT_TAKEN", "this number is a virtual account")
        if number not in self.accounts:
            self._journal.record("account", number=number, opening_fen=opening_fen)

    # --- facts become state, now or after a restart

    def _open(self, fact: Fact) -> None:
        number, opening = fact["number"], fact["opening_fen"]
        self.accounts[number] = Account(number, opening, balance_fen=opening)

    def _add_units(self, fact: Fact) -> None:
        self.accounts[fact["parent"]].units.update(fact["units"])
        for unit in fact["units"]:
            self._owner[fact["parent"] + unit] = fact["parent"]

    def _set_limit(self, fact: Fact) -> None:
        limit = Limit(fact["cap_fen"], fact["payer_account"])
        self.accounts[fact["parent"]].limits[fact["unit"]] = limit

    def _book(self, fact: Fact) -> None:
        plain = fact["booking"]
        at = datetime.fromisoformat(plain["booked_at"]).astimezone(SHANGHAI)
        booking = Booking(**plain | {"booked_at": at})
        account = self.accounts[fact["parent"]]
        account.bookings.append(booking)
        account.balance_fen += booking.signed_fen
        self._by_serial[booking.serial] = (fact["parent"], booking)
        told = event(fact["parent"], booking)
        self._unpushed[told["event_id"]] = told

    def _note_payout(self, fact: Fact) -> None:
        self._book({"parent": fact["order"]["account_no"], "booking": fact["booking"]})
        self._payouts[fact["order"]["out_no"]] = fact

    def _note_pushed(self, fact: Fact) -> None:
        self._unpushed.pop(fact["event_id"], None)


def _plain(booking: Booking) -> Fact:
    return asdict(booking) | {"booked_at": booking.booked_at.isoformat()}


def event(parent: str, booking: Booking) -> Fact:
    """The body of the push."""
    return {
        "event_id": f"EV{booking.serial}",
        "account_no": parent,
        "currency": "CNY",
        **_plain(booking),
    }


def _paid(done: Fact) -> Fact:
    return {"out_no": done["order"]["out_no"], "serial": done["serial"], "status": "DONE"}


# --- reading what was asked ---------------------------------------------------------------------


def _object(request: Request) -> dict[str, Any]:
    asked = request.json()
    if not isinstance(asked, dict):
        raise Refused(400, "BAD_JSON", "the body must be a JSON object")
    return asked


def _form(request: Request) -> dict[str, Any]:
    """The page's fields; yuan with at most two decimals become fen."""
    asked: dict[str, Any] = defaultdict(str, request.form())
    yuan = re.fullmatch(r"([0-9]{1,11})(?:\.([0-9]{1,2}))?", asked["amount_yuan"].strip())
    if not yuan:
        raise Refused(400, "BAD_AMOUNT", "金额须为元，最多两位小数")
    asked["amount_fen"] = int(yuan[1]) * 100 + int((yuan[2] or "").ljust(2, "0"))
    return {key: value.strip() if isinstance(value, str) else value for key, value in asked.items()}


def _is_unit(unit: object) -> bool:
    return isinstance(unit, str) and bool(re.fullmatch(r"[0-9]{1,10}", unit))


def _digits(asked: dict[str, Any], name: str, least: int, most: int) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not re.fullmatch(f"[0-9]{{{least},{most}}}", value):
        raise Refused(400, "BAD_ACCOUNT", f"{name} must be {least} to {most} digits")
    return value


def _text(asked: dict[str, Any], name: str, most: int, *, required: bool = False) -> str:
    value = asked.get(name) or ""
    if not isinstance(value, str) or CONTROL.search(value) or len(value) > most:
        raise Refused(400, "BAD_TEXT", f"{name} must be text of at most {most} signs")
    if required and not value.strip():
        raise Refused(400, "BAD_TEXT", f"{name} is missing")
    return value


def _amount(asked: dict[str, Any]) -> int:
    value = asked.get("amount_fen")
    if type(value) is not int or not 0 < value <= MOST_FEN:
        raise Refused(400, "BAD_AMOUNT", "金额必须为正")
    return value
