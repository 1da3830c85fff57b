"""Which ways to pay a buyer is offered, up to how much, and what is said where one is not."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from django.db import models

from config.kit.money import yuan


class Client(models.TextChoices):
    MINI_PROGRAM = "MINI_PROGRAM", "小程序"
    H5 = "H5", "网页"
    ADMIN = "ADMIN", "后台"


class Status(models.TextChoices):
    OFFERED = "OFFERED", "提供"
    WITHHELD = "WITHHELD", "不提供"
    VOID = "VOID", "作废"  # as if there were no such rule


# In the order in which they are preferred, with their names for buyers.
TITLES = {
    "WECHAT": "微信支付",
    "WALLET": "余额支付",
    "ALIPAY_LINK": "支付宝链接",
    "ALIPAY_QR": "支付宝扫码",
    "BANK_TRANSFER": "银行转账",
}
TRANSFER = "BANK_TRANSFER"
NOT_INSIDE_WECHAT = "微信里不能直接用支付宝，只能用支付宝链接或支付宝扫码"
ALIPAY = "ALIPAY"
# The two roads to Alipay that WeChat tolerates: both leave it (S002.37).
ALIPAY_OUTSIDE = ("ALIPAY_LINK", "ALIPAY_QR")
# Where a way can work at all, whatever the rules say; one that is not named: everywhere.
WORKS_IN = {"WECHAT": frozenset({Client.MINI_PROGRAM})}  # wx.requestPayment
EVERYWHERE = frozenset(Client)


class Rule(NamedTuple):
    """What is said of a way to pay, for a merchant's things of a category ("": for all).

    The amount of what is paid is within `from_fen` and `to_fen`, both included; one payment takes
    up to `limit_fen`, all of a buyer's of one day up to `day_limit_fen`.
    """

    method: str
    merchant: str = ""
    category: str = ""
    status: str = Status.OFFERED
    clients: Collection[str] = tuple(Client.values)
    from_fen: int | None = None
    to_fen: int | None = None
    limit_fen: int | None = None
    day_limit_fen: int | None = None
    text: str = ""


# What holds where no rule says anything, so that a fresh installation sells; all others need one.
BUILT_IN = {method: Rule(method) for method in (TRANSFER, "WECHAT", "WALLET")}


class Asker(NamedTuple):
    """From where the buyer asks: told by the client itself, so nothing is given away for it."""

    client: str = Client.MINI_PROGRAM
    is_in_wechat: bool = True  # the mini program, and pages opened in WeChat's own browser


@dataclass(frozen=True)
class Asked:
    """What is to be paid; `paths`: its categories, each with those above it, nearest first."""

    asker: Asker
    merchant: str
    amount_fen: int
    paths: Sequence[Sequence[str]] = ()


class Spent(NamedTuple):
    """What a buyer has paid, or is about to, by a method on this day: in all, and here."""

    everywhere_fen: int = 0
    here_fen: int = 0


@dataclass(frozen=True)
class Offer:
    """`max_fen`: the most that one payment takes now; 0: none, None: as much as one likes.

    `reason` is a sentence for the buyer, empty where the method is offered.
    """

    method: str
    is_offered: bool
    reason: str = ""
    max_fen: int | None = None
    wants_another: bool = False  # whether the sentence goes on with what to pay by instead

    @property
    def title(self) -> str:
        return title_of(self.method)


def title_of(method: str) -> str:
    return TITLES.get(method, method)


def works_in(method: str) -> frozenset[Client]:
    return WORKS_IN.get(method, EVERYWHERE)


def is_inside_alipay(method: str) -> bool:
    """Whether it opens Alipay where the buyer is, which nothing inside WeChat may."""
    return method.startswith(ALIPAY) and method not in ALIPAY_OUTSIDE


# --- which rule decides -------------------------------------------------------------------------


def deciding(method: str, rules: Iterable[Rule], asked: Asked) -> list[Rule | None]:
    """The rule for each category of what is paid; None: nobody says that it is offered.

    A merchant's own rule comes before everybody's, whatever its category; among those, that of
    the nearest category before those above it, and these before one for all.  There is one rule
    for a method, merchant and category, so there is no tie.
    """
    mine = [
        rule
        for rule in rules
        if rule.method == method
        and rule.status != Status.VOID
        and rule.merchant in {"", asked.merchant}
    ]
    found: list[Rule | None] = []
    for path in asked.paths or [()]:
        fitting = [rule for rule in mine if not rule.category or rule.category in path]
        best = max(fitting, key=lambda rule: _rank(rule, path), default=BUILT_IN.get(method))
        if best not in found:
            found.append(best)
    return found


def _rank(rule: Rule, path: Sequence[str]) -> tuple[bool, int]:
    nearness = len(path) - path.index(rule.category) if rule.category else 0
    return bool(rule.merchant), nearness


def counts_days(method: str, rules: Iterable[Rule], asked: Asked) -> bool:
    """Whether what the buyer spends in a day matters here."""
    return any(rule and rule.day_limit_fen is not None for rule in deciding(method, rules, asked))


# --- whether it is offered ----------------------------------------------------------------------


def barred(method: str, asker: Asker) -> str:
    """Why a way cannot be taken from there, whatever the rules say; empty: it can."""
    if is_inside_alipay(method) and asker.is_in_wechat:
        return NOT_INSIDE_WECHAT
    if asker.client not in works_in(method):
        return only_in(method, works_in(method))
    return ""


def weigh(method: str, rules: Iterable[Rule], asked: Asked, spent: Spent) -> Offer:
    """Offered when every rule that decides offers it; the strictest limit of them counts."""
    if why := barred(method, asked.asker):
        return Offer(method, False, why, 0)
    decided = deciding(method, rules, asked)
    for rule in decided:
        if no := _closed(method, rule, asked):
            return no
    open_rules = [rule for rule in decided if rule]
    most = min((fen for rule in open_rules for fen in _caps(rule, spent)), default=None)
    for rule in open_rules:
        if rule.limit_fen is not None and asked.amount_fen > rule.limit_fen:
            why = f"超过{title_of(method)}单笔限额 {yuan(rule.limit_fen)} 元"
            return _no(method, rule, why, most)
        if why := _too_much_today(rule, asked, spent):
            return Offer(method, False, why, most, True)
    return Offer(method, True, "", most)


def _closed(method: str, rule: Rule | None, asked: Asked) -> Offer | None:
    """No, however little is paid at once."""
    title, fen = title_of(method), asked.amount_fen
    if rule is None or rule.status != Status.OFFERED:
        return _no(method, rule, f"暂不支持{title}")
    if asked.asker.client not in rule.clients:
        return Offer(method, False, only_in(method, rule.clients), 0)
    if rule.from_fen is not None and fen < rule.from_fen:
        return _no(method, rule, f"满 {yuan(rule.from_fen)} 元才能用{title}")
    if rule.to_fen is not None and fen > rule.to_fen:
        return _no(method, rule, f"超过 {yuan(rule.to_fen)} 元不能用{title}")
    return None


def _no(method: str, rule: Rule | None, why: str, most: int | None = 0) -> Offer:
    """In the rule's own words, where it has any; otherwise with what to pay by instead."""
    text = rule.text if rule else ""
    return Offer(method, False, text or why, most, not text)


def only_in(method: str, clients: Collection[str]) -> str:
    places = "、".join(client.label for client in Client if client in clients)
    return f"{title_of(method)}只能在{places}里使用"


def _caps(rule: Rule, spent: Spent) -> Iterator[int]:
    if rule.limit_fen is not None:
        yield rule.limit_fen
    if rule.day_limit_fen is not None:
        yield max(0, rule.day_limit_fen - _spent_by(rule, spent))


def _spent_by(rule: Rule, spent: Spent) -> int:
    return spent.here_fen if rule.merchant else spent.everywhere_fen


def _too_much_today(rule: Rule, asked: Asked, spent: Spent) -> str:
    limit = rule.day_limit_fen
    if limit is None or _spent_by(rule, spent) + asked.amount_fen <= limit:
        return ""
    left = max(0, limit - _spent_by(rule, spent))
    title = title_of(rule.method)
    return f"超过{title}每日限额 {yuan(limit)} 元（待支付的也计入），今天还可付 {yuan(left)} 元"


# --- all of them, as they are shown -------------------------------------------------------------


def listed(offers: Iterable[Offer]) -> list[Offer]:
    """What is offered first, each in the order of preference; a no says what to do instead."""
    known = list(TITLES)
    found = sorted(
        offers,
        key=lambda one: (
            not one.is_offered,
            known.index(one.method) if one.method in known else len(known),
            one.method,
        ),
    )
    instead = _instead({one.method for one in found if one.is_offered})
    return [
        replace(one, reason=one.reason + instead) if one.wants_another else one for one in found
    ]


def _instead(offered: Collection[str]) -> str:
    if TRANSFER in offered:
        return f"，请用{title_of(TRANSFER)}"
    return "，请换一种支付方式" if offered else ""
