"""Who pays, how, and what it is in truth: one method for each kind of transfer of `day.MIX`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random

from tests.sandbox.journal import SHANGHAI
from tests.sandbox.statements import Booking

# What only a person may settle; everything else is sure.
FOR_A_PERSON = {"code_short", "code_over", "typo", "silent", "strangers", "crossed"}

# Or another transfer of the day would make the payer known.
OF_A_BUYER_WITH_ONE_ORDER = ("code_short", "code_over", "typo", "silent", "known", "crossed")

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英华文"
COMPANIES = (
    "杭州云栖贸易有限公司",
    "宁波海曙（集团）有限公司",
    "上海虹口百货商店",
    "义乌小商品经营部",
)


@dataclass(frozen=True)
class Order:
    """An order with its open payment; `virtual_account` "": its buyer was told the parent's."""

    reference: str
    buyer: str
    buyer_name: str
    account: str
    virtual_account: str
    code: str
    outstanding_fen: int


@dataclass(frozen=True)
class Known:
    """Who has paid for whom before this day."""

    buyer: str
    payer_name: str
    payer_account: str


@dataclass(frozen=True)
class Truth:
    """What a booking is: fen by order when all is known, and what of it is owed back.

    `is_sure`: a careful engine may settle it by itself; else it waits for a person.
    """

    kind: str
    pays: Mapping[str, int]
    owed_fen: int = 0
    is_sure: bool = True


@dataclass
class _Draft:
    """A booking before it has a serial; `reverses` is the draft that it takes back."""

    at: datetime
    fen: int
    payer: tuple[str, str]
    remark: str
    virtual_account: str | None
    truth: Truth
    reverses: "_Draft | None" = None


@dataclass
class Writer:
    """Takes each order once, and writes down who pays it how."""

    rows: Sequence[Order]
    random: Random
    day: date
    wanted: Mapping[str, int]
    drafts: list[_Draft] = field(default_factory=list)
    known_payers: list[Known] = field(default_factory=list)

    def __post_init__(self) -> None:
        left = list(self.rows)
        self.random.shuffle(left)
        self._codes = {row.code for row in left}
        self._of_buyer: dict[str, list[Order]] = {}
        for row in left:
            self._of_buyer.setdefault(row.buyer, []).append(row)
        self._left = {row.reference: row for row in left}
        self._accounts = iter(self.random.sample(range(10**10), 4 * len(left) + 10_000))
        # What only some orders can be is set aside before the many take any.
        alone = [row for row in left if len(self._of_buyer[row.buyer]) == 1]
        alone = alone[: sum(self.wanted[kind] for kind in OF_A_BUYER_WITH_ONE_ORDER)]
        groups = [rows for rows in self._of_buyer.values() if len(rows) > 1]
        groups = groups[: self.wanted["several"]]
        for row in [*alone, *(row for group in groups for row in group)]:
            del self._left[row.reference]
        self._alone, self._groups = iter(alone), iter(groups)
        self._virtual = iter([row for row in self._left.values() if row.virtual_account])

    # --- to the virtual account

    def exact(self) -> None:
        if row := self._with_virtual():
            self._to_virtual("exact", row, row.outstanding_fen)

    def for_another(self) -> None:
        if row := self._with_virtual():
            other = self._payer(person(self.random) + "代")
            self._to_virtual("for_another", row, row.outstanding_fen, payer=other)

    def parts(self) -> None:
        if row := self._with_virtual():
            first = self.random.randrange(1, row.outstanding_fen)
            payer, at = self._payer(row.buyer_name), self._moment(until=20)
            self._to_virtual("parts", row, first, payer=payer, at=at)
            later = at + timedelta(minutes=self.random.randrange(5, 180))
            self._to_virtual("parts", row, row.outstanding_fen - first, payer=payer, at=later)

    def short(self) -> None:
        if row := self._with_virtual():
            self._to_virtual("short", row, self.random.randrange(1, row.outstanding_fen))

    def over(self) -> None:
        if row := self._with_virtual():
            excess = self.random.choice((1, 100, row.outstanding_fen))
            self._to_virtual("over", row, row.outstanding_fen + excess, owed=excess)

    def twin(self) -> None:
        if row := self._with_virtual():
            payer, at, price = self._payer(row.buyer_name), self._moment(), row.outstanding_fen
            self._to_virtual("twin", row, price, payer=payer, at=at)
            second = at + timedelta(seconds=self.random.randrange(1, 59))
            self._to_virtual("twin", row, price, payer=payer, at=second, owed=price)

    def taken_back(self) -> None:
        if row := self._with_virtual():
            at = self._moment(until=22)
            credit = _Draft(
                at,
                row.outstanding_fen,
                self._payer(row.buyer_name),
                self._words(row),
                row.virtual_account,
                Truth("taken_back", {}),
            )
            back = at + timedelta(minutes=self.random.randrange(1, 90))
            debit = _Draft(
                back,
                -credit.fen,
                credit.payer,
                credit.remark,
                credit.virtual_account,
                Truth("reversal", {}),
                reverses=credit,
            )
            self.drafts += [credit, debit]

    # --- to the receiving account

    def code(self) -> None:
        if row := self._any():
            self._to_parent("code", [row], row.outstanding_fen, self._written(row.code))

    def code_short(self) -> None:
        if row := next(self._alone, None):
            fen = self.random.randrange(1, row.outstanding_fen)
            self._to_parent("code_short", [row], fen, self._written(row.code))

    def code_over(self) -> None:
        if row := next(self._alone, None):
            fen = row.outstanding_fen + self.random.choice((1, 50, 10_000))
            self._to_parent("code_over", [row], fen, self._written(row.code))

    def typo(self) -> None:
        if row := next(self._alone, None):
            remark = self.random.choice(("", "货款")) + self._mistyped(row.code)
            self._to_parent("typo", [row], row.outstanding_fen, remark)

    def silent(self) -> None:
        if row := next(self._alone, None):
            remark = self.random.choice(("", "货款", "转账", "网银转账"))
            self._to_parent("silent", [row], row.outstanding_fen, remark)

    def known(self) -> None:
        if row := next(self._alone, None):
            payer = (row.buyer_name, self._account())
            self.known_payers.append(Known(row.buyer, *payer))
            remark = self.random.choice(("", "货款"))
            self._to_parent("known", [row], row.outstanding_fen, remark, payer=payer)

    def several(self) -> None:
        if group := next(self._groups, None):
            rows = group[: self.random.randrange(2, len(group) + 1)]
            fen = sum(row.outstanding_fen for row in rows)
            self._to_parent("several", rows, fen, self._list(rows))

    def strangers(self) -> None:
        first, second = self._any(), self._any()
        if first and second and first.buyer != second.buyer:
            rows = [first, second]
            fen = sum(row.outstanding_fen for row in rows)
            self._to_parent("strangers", rows, fen, self._list(rows))

    def crossed(self) -> None:
        """An old payee in the phone: the code is what was meant."""
        other, meant = self._with_virtual(), next(self._alone, None)
        if other and meant:
            fen = meant.outstanding_fen
            self._to_parent("crossed", [meant], fen, meant.code, virtual=other.virtual_account)

    def foreign(self) -> None:
        payer, remark = self.random.choice(
            (
                (self._payer(self.random.choice(COMPANIES)), "退货款"),
                (self._payer(self.random.choice(COMPANIES)), f"保证金 {self._no_code()}"),
                (("", ""), "结息"),
            )
        )
        fen = self.random.randrange(1, 3_000_000)
        self.drafts.append(
            _Draft(
                self._moment(),
                fen,
                payer,
                remark,
                None,
                # Interest is ignored by rule; that a deposit is nobody's order, only a person sees.
                Truth("foreign", {}, is_sure=remark == "结息"),
            )
        )

    # --- what they share

    def booked(self) -> tuple[list[Booking], dict[str, Truth]]:
        """In the order of their time, with serials that rise."""
        bookings: list[Booking] = []
        truth: dict[str, Truth] = {}
        serials: dict[int, str] = {}
        for n, draft in enumerate(sorted(self.drafts, key=lambda draft: draft.at), 1):
            serial = serials[id(draft)] = f"{self.day:%Y%m%d}{n:012d}"
            name, account = draft.payer
            bookings.append(
                Booking(
                    serial,
                    draft.at,
                    abs(draft.fen),
                    "C" if draft.fen > 0 else "D",
                    payer_name=name,
                    payer_account=account,
                    payer_bank="中国工商银行" if account else "",
                    remark=draft.remark,
                    virtual_account=draft.virtual_account,
                    reverses=serials[id(draft.reverses)] if draft.reverses else None,
                )
            )
            truth[serial] = draft.truth
        return bookings, truth

    def _with_virtual(self) -> Order | None:
        row = next((row for row in self._virtual if row.reference in self._left), None)
        return self._left.pop(row.reference) if row else None

    def _any(self) -> Order | None:
        """First those without a virtual account: nobody else can use them."""
        bare = (name for name, row in self._left.items() if not row.virtual_account)
        name = next(bare, None) or next(iter(self._left), None)
        return self._left.pop(name) if name else None

    def _to_virtual(
        self,
        kind: str,
        row: Order,
        fen: int,
        *,
        payer: tuple[str, str] | None = None,
        at: datetime | None = None,
        owed: int = 0,
    ) -> None:
        self.drafts.append(
            _Draft(
                at or self._moment(),
                fen,
                payer or self._payer(row.buyer_name),
                self._words(row),
                row.virtual_account,
                Truth(kind, {row.reference: fen - owed} if fen > owed else {}, owed),
            )
        )

    def _to_parent(
        self,
        kind: str,
        rows: Sequence[Order],
        fen: int,
        remark: str,
        *,
        payer: tuple[str, str] | None = None,
        virtual: str | None = None,
    ) -> None:
        pays, left = {}, fen
        for row in rows:
            pays[row.reference] = min(left, row.outstanding_fen)
            left -= pays[row.reference]
        truth = Truth(kind, pays, left, is_sure=kind not in FOR_A_PERSON)
        payer = payer or self._payer(rows[0].buyer_name)
        self.drafts.append(_Draft(self._moment(), fen, payer, remark, virtual, truth))

    # --- dirt

    def _moment(self, *, until: int = 23) -> datetime:
        start = datetime.combine(self.day, time(0, 10), SHANGHAI)
        return start + timedelta(seconds=self.random.randrange((until * 60 + 30) * 60))

    def _account(self) -> str:
        return f"622202{next(self._accounts):010d}"

    def _payer(self, name: str) -> tuple[str, str]:
        account = self._account()
        masked = f"{account[:4]}****{account[-4:]}"
        account = self.random.choices((account, masked, ""), (92, 5, 3))[0]
        dirty = (
            name,
            f"{name} ",
            f"{name[0]} {name[1:]}",
            f"{name}（个人）",
            name.replace("（", "("),
        )
        return self.random.choices(dirty, (80, 8, 6, 3, 3))[0], account

    def _words(self, row: Order) -> str:
        """What people write where nothing need be written."""
        return self.random.choice(
            (
                *("", "", "", "货款", "转账", "网银转账", f"订单{row.reference}", "谢谢老板 😊"),
                *(row.code, _wide(row.code), f"货款{row.code}", f"{self.day:%Y%m%d}", "  "),
                *(f"电话13{self.random.randrange(10**9):09d}", f"{self.day} 货款"),
            )
        )

    def _written(self, code: str) -> str:
        return self.random.choice(
            (
                *(code, code, code, _wide(code), f"货款{code}", f"核对码：{code}。"),
                *(f"{code[:4]} {code[4:]}", f"{code[:4]}-{code[4:]}", f"付\u3000{code}\u200b"),
                *(f"转账{code}", f"{self.day:%Y年%m月%d日} {_wide(code)}"),
            )
        )

    def _list(self, rows: Sequence[Order]) -> str:
        signs = self.random.choice(("、", ",", " 和 ", "；", "货款 "))
        return signs.join(row.code for row in rows)

    def _mistyped(self, code: str) -> str:
        at = self.random.randrange(7)
        wrong = (
            code[:at] + str((int(code[at]) + self.random.randrange(1, 10)) % 10) + code[at + 1 :],
            code[:at] + code[at + 1] + code[at] + code[at + 2 :],
            code[:at] + code[at + 1 :],
        )
        typed = self.random.choice(wrong)
        return wrong[0] if typed == code else typed  # two equal digits were swapped

    def _no_code(self) -> str:
        while (number := f"{self.random.randrange(10**8):08d}") in self._codes:
            pass
        return number


def _wide(digits: str) -> str:
    return digits.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})


def person(random: Random) -> str:
    return random.choice(SURNAMES) + "".join(random.choices(GIVEN, k=random.choice((1, 2, 2))))
