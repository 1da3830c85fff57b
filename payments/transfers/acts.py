"""What a person can decide about a line: what is asked, and the one service that does it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.timezone import now

from config.kit.admin import Question, viewer_of
from config.kit.columns import YuanField, in_yuan
from config.kit.viewer import Viewer
from payments.cashier.models import Payment
from payments.cashier.rules import Status
from payments.transfers import bounces, desk, notes, queries, returns, reversals, screening
from payments.transfers.decisions import decided_meanwhile
from payments.transfers.models import StatementLine
from payments.wallet import queries as wallets

WAITS, RETURNED = "waits", "returned"
REST = [(WAITS, "留在待处理"), (RETURNED, "接着原路退回")]
# Payments that one line may be shared between on the page; the API takes more.  A remark names at
# most ten that are believed (named.MOST_CODES).
LEAST_ROWS, MOST_ROWS = 5, 10


def seen(line: StatementLine) -> str:
    """A line as it was shown: another word means that somebody decided since."""
    return f"{line.verdict} {line.decided_at.isoformat() if line.decided_at else ''}"


class Decision(Question):
    """A question about a line, which remembers what the person saw when it was asked."""

    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def prepare(self) -> None:
        self.fields["seen"].initial = seen(self.row)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("seen") and cleaned["seen"] != seen(self.row):
            raise forms.ValidationError(str(decided_meanwhile(self.row, now())))
        return cleaned

    @property
    def plain_fields(self) -> list[forms.BoundField]:
        """Those that the page shows one below the other."""
        return self.visible_fields()


def reason(label: str, words: str, *, required: bool = True) -> forms.CharField:
    """One line, so that Enter confirms; `words` names the list of what is said most often."""
    said = forms.TextInput({"autofocus": True, "autocomplete": "off", "list": words})
    return forms.CharField(label=label, max_length=200, required=required, widget=said)


class Assign(Decision):
    """All that is left of the line, to one payment."""

    payment = forms.CharField(label="支付单", max_length=24, widget=forms.HiddenInput)

    def prepare(self) -> None:
        super().prepare()
        self.fields["payment"].initial = self.request.GET.get("payment", "")


def _places(line: StatementLine) -> range:
    """One for each candidate and a few at least, from 1."""
    return range(1, min(MOST_ROWS, max(LEAST_ROWS, len(line.candidates))) + 1)


class Split(Decision):
    """Payment (or order) numbers with amounts."""

    def prepare(self) -> None:
        super().prepare()
        self.places = _places(self.row)
        shares = _first_guess(self.row, viewer_of(self.request), self.request.GET.get("payment"))
        for n in self.places:
            number = forms.CharField(label=f"支付单 {n}", max_length=24, required=n == 1)
            yuan = YuanField(label=f"金额 {n}（元）", required=n == 1)
            if n <= len(shares):
                number.initial, yuan.initial = shares[n - 1]
            number.widget.attrs |= {"placeholder": "支付单号或订单号", "autocomplete": "off"}
            yuan.widget.attrs |= {"inputmode": "decimal", "data-share": ""}
            self.fields[f"number_{n}"], self.fields[f"fen_{n}"] = number, yuan
        self.fields["rest"] = forms.ChoiceField(
            label="没分完的部分", choices=REST, required=False, initial=WAITS
        )
        self.fields["reason"] = forms.CharField(label="说明", max_length=200, required=False)

    @property
    def plain_fields(self) -> list[forms.BoundField]:
        return [self["rest"], self["reason"]]

    @property
    def rows(self) -> list[tuple[forms.BoundField, forms.BoundField, str]]:
        """Number and amount, and in words whose payment the number is."""
        numbers = [self[f"number_{n}"] for n in self.places]
        typed = {str(one.value() or "").strip().upper() for one in numbers} - {""}
        seen_by_person = queries.assignable(viewer_of(self.request)).filter(number__in=typed)
        whose = {
            row.number: f"{row.payer}　未付 {in_yuan(row.outstanding_fen)}　订单 {row.reference}"
            for row in seen_by_person.select_related("payer")
        }
        return [
            (one, self[f"fen_{n}"], whose.get(str(one.value() or "").strip().upper(), ""))
            for n, one in enumerate(numbers, 1)
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        given = [(cleaned.get(f"number_{n}"), cleaned.get(f"fen_{n}")) for n in self.places]
        typed = {number.strip().upper(): fen for number, fen in given if number and fen}
        if len(typed) != sum(bool(number or fen) for number, fen in given):
            raise forms.ValidationError("每张支付单填写一次，并填写金额")
        shares = _by_payment(typed, queries.assignable(viewer_of(self.request)))
        if len(shares) != len(typed):
            raise forms.ValidationError("同一张支付单填写了两次")
        return {**cleaned, "shares": shares}


class Ignore(Decision):
    reason = reason("原因", "ignoring")


class TookBack(Decision):
    """The line whose money the bank took back, by its number or the bank's serial."""

    original = forms.CharField(label="原来账", max_length=160)
    reason = reason("依据", "reversing")

    def prepare(self) -> None:
        super().prepare()
        chosen = self.request.GET.get("original", "")
        self.fields["original"].initial = chosen
        self.fields["original"].widget.attrs |= {
            "placeholder": "来账编号或银行流水号",
            "autocomplete": "off",
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if said := cleaned.get("original", "").strip():
            mine = queries.lines(viewer_of(self.request))
            of_account = mine.filter(receiving_account=self.row.receiving_account_id)
            found = of_account.filter(Q(number=said.upper()) | Q(key=said)).first()
            if found is None:
                raise forms.ValidationError("这个收款账户没有这笔来账")
            cleaned["line"] = found
        return cleaned


class Bounced(Decision):
    """The return (T…), refund (R…) or withdrawal (W…) that came back."""

    payout = forms.CharField(label="退款、退回或提现单号", max_length=24)
    fee_fen = YuanField(label="银行扣费（元）", required=False)
    reason = reason("依据", "bouncing")

    def prepare(self) -> None:
        super().prepare()
        named = sorted(screening.named_payouts([self.row.remark, *self.row.texts]))
        self.fields["payout"].initial = named[0] if len(named) == 1 else ""
        self.fields["payout"].widget.attrs |= {"placeholder": "R…、T… 或 W…", "autocomplete": "off"}
        self.fields["fee_fen"].widget.attrs |= {"inputmode": "decimal", "autocomplete": "off"}
        self.fields["fee_fen"].help_text = self._compared()

    def _compared(self) -> str:
        """What went out beside what came back; the difference is for the person to confirm."""
        number = str(self["payout"].value() or "").strip().upper()
        person = viewer_of(self.request)
        paid = {
            one.number: one.amount_fen
            for rows in (
                queries.returns(person),
                queries.refunds(person),
                wallets.withdrawals_seen_by(person),
            )
            for one in rows.filter(number=number)
        }
        if number not in paid:
            return "退回的钱比付出的少才填，填相差的金额"
        came, went = self.row.amount_fen, paid[number]
        said = f"付出 {in_yuan(went)}，退回 {in_yuan(came)}"
        if came == went:
            return f"{said}，没有扣费"
        return f"{said}，相差 {in_yuan(went - came)}"


class GiveBack(Decision):
    amount_fen = YuanField(label="退回金额（元）", required=False, help_text="空为全部剩余")
    reason = reason("退回原因", "returning")

    def prepare(self) -> None:
        super().prepare()
        self.fields["amount_fen"].initial = queries.left_fen(self.row)
        self.fields["amount_fen"].widget.attrs |= {"inputmode": "decimal"}


class Undo(Decision):
    reason = forms.CharField(label="说明", max_length=200, required=False)


class TakeIn(Decision):
    reason = forms.CharField(label="说明", max_length=200, required=False)


class Note(Decision):
    text = reason("备注", "")

    def prepare(self) -> None:
        """A note is welcome whatever has happened since: nothing is remembered."""

    def told(self, act: str) -> str:
        return f"{act}：{self.cleaned_data['text']}"


# What clerks say most often, offered while they type.
OFTEN = {
    "ignoring": [
        "内部调拨",
        "员工报销退回",
        "投资款",
        "银行利息",
        "供应商退款",
        "不是货款",
        "与已收录的是同一笔",
    ],
    "bouncing": ["附言有退款单号", "收款账号、金额一致", "银行电话确认"],
    "reversing": ["银行回单注明", "付款人、金额一致", "银行电话确认"],
    "returning": ["付款人要求退回", "重复付款", "无法确认对应订单", "付错商家", "订单已取消"],
}


def _first_guess(line: StatementLine, person: Viewer, chosen: str | None) -> list[tuple[str, int]]:
    """The chosen payment, or the candidates from the likeliest on, until the money is used up."""
    numbers = [chosen] if chosen else [one["payment"] for one in line.candidates]
    seen_by_person = queries.assignable(person).filter(number__in=numbers, status=Status.WAITING)
    payments = {row.number: row for row in seen_by_person} if numbers else {}
    shares: list[tuple[str, int]] = []
    left = queries.left_fen(line)
    for number in dict.fromkeys(numbers):
        if number in payments and left and len(shares) < MOST_ROWS:
            fen = min(left, payments[number].outstanding_fen)
            shares.append((number, fen))
            left -= fen
    if chosen and not shares:
        shares = [(chosen, left)]
    return shares


def _by_payment(typed: dict[str, int], payments: QuerySet[Payment]) -> dict[str, int]:
    """An order's number stands for its payment by transfer, the open one or else the last."""
    orders = payments.filter(reference__in=list(typed), method=queries.METHOD).order_by("pk")
    by_order: dict[str, Payment] = {}
    for row in orders:
        known = by_order.get(row.reference)
        if known is None or known.status != Status.WAITING:
            by_order[row.reference] = row
    return {
        by_order[number].number if number in by_order else number: fen
        for number, fen in typed.items()
    }


# --- the acts -----------------------------------------------------------------------------------

Do = Callable[[StatementLine, dict[str, Any], Viewer, datetime], object]


@dataclass(frozen=True)
class Act:
    """`may`: its name in `queries.actions`; `key`: what a person presses for it."""

    name: str
    title: str
    verb: str
    lead: str
    question: type[Question]
    do: Do
    may: str
    key: str = ""
    icon: str = ""


def _assign(line: StatementLine, answers: dict[str, Any], person: Viewer, at: datetime) -> object:
    shares = answers.get("shares") or {answers["payment"]: queries.left_fen(line)}
    return desk.assign(
        line=line, shares=shares, payments=queries.assignable(person), actor=person.number, at=at
    )


def _ignore(line: StatementLine, answers: dict[str, Any], person: Viewer, at: datetime) -> object:
    return desk.ignore(line=line, reason=answers["reason"], actor=person.number, at=at)


def _took_back(
    line: StatementLine, answers: dict[str, Any], person: Viewer, at: datetime
) -> object:
    return reversals.pair(
        line=line, original=answers["line"], reason=answers["reason"], actor=person.number, at=at
    )


def _bounced(line: StatementLine, answers: dict[str, Any], person: Viewer, at: datetime) -> object:
    return bounces.link(
        line=line,
        payout=answers["payout"].strip().upper(),
        fee_fen=answers["fee_fen"] or 0,
        returned=queries.returns(person),
        refunded=queries.refunds(person),
        withdrawn=wallets.withdrawals_seen_by(person),
        reason=answers["reason"],
        actor=person.number,
        at=at,
    )


def _give_back(
    line: StatementLine, answers: dict[str, Any], person: Viewer, at: datetime
) -> object:
    return returns.give_back(
        line=line,
        actor=person.number,
        at=at,
        amount_fen=answers["amount_fen"],
        reason=answers["reason"],
    )


def _undo(line: StatementLine, answers: dict[str, Any], person: Viewer, at: datetime) -> object:
    return desk.undo(line=line, actor=person.number, at=at)


def _take_in(line: StatementLine, answers: dict[str, Any], person: Viewer, at: datetime) -> object:
    return desk.take_in(line=line, actor=person.number, at=at)


def _note(line: StatementLine, answers: dict[str, Any], person: Viewer, at: datetime) -> object:
    return notes.note(line=line, text=answers["text"], actor=person.number, at=at)


def _by_name(acts: Iterable[Act]) -> dict[str, Act]:
    return {act.name: act for act in acts}


ACTS = _by_name(
    [
        Act("assign", "核销来账", "确认核销", "", Assign, _assign, "match"),
        Act(
            "split",
            "拆分核销",
            "确认核销",
            "可以只分一部分；超出应付的部分自动转为应退款。",
            Split,
            _assign,
            "match",
            "s",
            "call_split",
        ),
        Act(
            "reverse",
            "冲正的是这笔来账",
            "确认冲正",
            "那笔来账的核销全部冲回，订单冻结；已放款或已退款的，记为应收商家款。不能撤销。",
            TookBack,
            _took_back,
            "reverse",
            "c",
            "link",
        ),
        Act(
            "bounce",
            "退汇的是这笔退款",
            "确认退汇",
            "那笔退款变为退回失败，可以重新同意；来账的退回，钱回到待处理。银行扣的费由店里承担。不能撤销。",
            Bounced,
            _bounced,
            "bounce",
            "b",
            "assignment_return",
        ),
        Act(
            "return",
            "原路退回",
            "确认退回",
            "款项退回付款人的原账户，提交银行后不能撤回；金额大的须由另一人复核。",
            GiveBack,
            _give_back,
            "return",
            "r",
            "undo",
        ),
        Act(
            "ignore",
            "不处理",
            "确认不处理",
            "不是买家付款，或已经收录过。记过账、还没处理的金额从待核销转到“不处理来账”，不算收入；可以撤销。",
            Ignore,
            _ignore,
            "ignore",
            "i",
            "block",
        ),
        Act(
            "undo",
            "撤销处理",
            "确认撤销",
            "核销会用相反的分录冲回，订单回到待付款；已发货或已退款的不能撤销。",
            Undo,
            _undo,
            "undo",
            "u",
            "history",
        ),
        Act(
            "take_in",
            "作为来账处理",
            "确认是新的来账",
            "这一行之前没有作为来账记账。确认是买家的钱、而且没有收录过，就记入待核销，再选支付单；可以撤销。"
            "如果和已有来账是同一笔，请点“不处理”。",
            TakeIn,
            _take_in,
            "take_in",
            "t",
            "add_card",
        ),
        Act(
            "note",
            "备注",
            "保存备注",
            "写给下一位处理的同事，保存后不能修改。",
            Note,
            _note,
            "note",
            "n",
            "edit_note",
        ),
    ]
)
