"""T1, T2, T3, T8 and W: the line itself names its payment, by a virtual account or by a code."""

from collections.abc import Sequence
from typing import Any

from config.kit.money import yuan
from payments.transfers.ladder.batch import Batch
from payments.transfers.ladder.facts import Decision, Fact, Intent, named_by
from payments.transfers.ladder.sums import only_sum
from payments.transfers.rules import Verdict

MOST_CODES = 10
MATCHED, SUGGESTED, CONFLICT = Verdict.MATCHED, Verdict.SUGGESTED, Verdict.CONFLICT
# Most lines of most files end with one of these; they are made once.
_T1A = ("专属账号一致，金额等于应付",)
_T1D = ("专属账号一致；支付单已付清或已关闭，全部转为应退款",)
_REFUNDED = "专属账号一致，但订单已退过款，需人工确认"
_T2A = ("核对码一致，金额等于应付",)


# --- by a virtual account -----------------------------------------------------------------------


def own_account(fact: Fact, batch: Batch) -> Decision | None:
    """T1a–T1d, T8, W: a virtual account that was given to one payment."""
    intent = batch.book.by_virtual_account.get(fact.virtual_account)
    if intent is None:
        return None
    found = fact.codes.found
    if found and not (len(found) == 1 and intent.code in found):
        # A code of an earlier payment of the same order is no contradiction.
        others = [one for one in batch.book.coded(fact) if one.order != intent.order]
        if others:
            return _conflict(fact, batch, [intent, *others], _disagree(intent, others[0]))
    if intent.account_id != fact.account_id:
        return _conflict(fact, batch, [intent], "专属账号不属于本收款账户")
    left = batch.left[intent.payment_id]
    if fact.fen == left:
        named = {"virtual_account": fact.virtual_account, "left_fen": left}
        return Decision(MATCHED, "T1a", _T1A, ((intent.payment_id, left),), named)
    return _another_amount(fact, batch, intent)


def _another_amount(fact: Fact, batch: Batch, intent: Intent) -> Decision:
    """T1b–T1d, T8: who is meant is certain, so the money is the payment's whatever its amount."""
    left = batch.left[intent.payment_id]
    facts: dict[str, Any] = {"virtual_account": fact.virtual_account, "left_fen": left}
    if left == 0:
        return _over(fact, batch, intent, facts)
    if less := _less_a_fee(fact, batch, intent, facts, "专属账号一致"):
        return less
    if fact.fen < left:
        short = f"专属账号一致；部分付款，还差 {yuan(left - fact.fen)} 元"
        return _pays(fact, intent, "T1b", (short,), facts)
    if fact.fen > left:
        over = f"专属账号一致；多付 {yuan(fact.fen - left)} 元，转为应退款"
        return _pays(fact, intent, "T1c", (over,), facts)
    return _pays(fact, intent, "T1a", _T1A, facts)


def _over(fact: Fact, batch: Batch, intent: Intent, facts: dict[str, Any]) -> Decision:
    """T1d: nothing is asked for any more.  After a refund a person has to look."""
    if intent.is_refunded:
        return batch.suggests(fact, [intent], "T1d", _REFUNDED, facts)
    return _pays(fact, intent, "T1d", _T1D, facts)


def buyers_account(fact: Fact, batch: Batch) -> Decision | None:
    """T1m, W: a buyer's own virtual account, below which several payments may wait."""
    members = batch.book.shared.get(fact.virtual_account)
    if members is None:
        return None
    coded = batch.book.coded(fact)
    if conflict := _not_the_members(fact, batch, members, coded):
        return conflict
    if len(coded) > 1:
        return _of_several(fact, batch, coded)
    if coded:
        return _members_code(fact, batch, coded[0])
    return _members_amount(fact, batch, members)


def _not_the_members(
    fact: Fact, batch: Batch, members: Sequence[Intent], coded: Sequence[Intent]
) -> Decision | None:
    if members[0].account_id != fact.account_id:
        return _conflict(fact, batch, members, "专属账号不属于本收款账户")
    orders = {one.order for one in members}
    others = [one for one in coded if one.order not in orders]
    if not others:
        return None
    return _conflict(fact, batch, [*others, *members], _disagree(members[0], others[0]))


def _members_code(fact: Fact, batch: Batch, intent: Intent) -> Decision:
    """A code says which of the buyer's payments is meant: as if the account were its own."""
    if not batch.left[intent.payment_id]:
        return batch.suggests(fact, [intent], "T1d", "买家专属账号；核对码的支付单已付清或已关闭")
    if why := _unsure_code(fact):
        return batch.suggests(fact, [intent], "T1m", why)
    if intent.account_id != fact.account_id:
        return _conflict(fact, batch, [intent], "核对码对应的支付单在另一个收款账户")
    decision = _another_amount(fact, batch, intent)
    return decision._replace(facts={**decision.facts, "code": intent.code})


def _members_amount(fact: Fact, batch: Batch, members: Sequence[Intent]) -> Decision:
    """Without a code only the amount can say which: of exactly one, or a person decides."""
    left = batch.left
    open_ = [one for one in members if left[one.payment_id]]
    equal = [one for one in open_ if left[one.payment_id] == fact.fen]
    if len(equal) == 1:
        facts = {"virtual_account": fact.virtual_account, "left_fen": fact.fen}
        return _pays(
            fact, equal[0], "T1m", ("买家专属账号，金额等于其唯一一张支付单的应付",), facts
        )
    if not open_:
        return batch.suggests(fact, members, "T1m", "买家专属账号，没有待支付的支付单")
    if equal:
        return batch.suggests(fact, equal, "T1m", "买家专属账号，有多张支付单金额相同")
    return suggest_sum(fact, batch, open_, ("T1m", "T1m"), "买家专属账号")


def suggest_sum(
    fact: Fact,
    batch: Batch,
    open_: Sequence[Intent],
    rules: tuple[str, str],
    who: str,
    **more: object,
) -> Decision:
    """A buyer is certain, the payment is not: how the amount divides, if only in one way.

    `rules` are the ids with a division and without one, `more` are facts.
    """
    parts = only_sum([(one, batch.left[one.payment_id]) for one in open_], fact.fen)
    if not parts:
        why = f"{who}，金额不等于其待支付的支付单，也不是唯一几张之和"
        return batch.suggests(fact, open_, rules[1], why, batch.seen(fact, open_, **more))
    meant = [one for one, _ in parts]
    split = {one.payment: fen for one, fen in parts}
    why = f"{who}，金额等于其 {len(parts)} 张支付单之和"
    return batch.suggests(fact, meant, rules[0], why, batch.seen(fact, meant, split=split, **more))


# --- by a code ----------------------------------------------------------------------------------


def one_code(fact: Fact, batch: Batch) -> Decision | None:
    """T2a, T2b, T8, W: codes that name one payment."""
    named = batch.book.coded(fact)
    if len(named) != 1:
        return None
    intent = named[0]
    if fact.virtual_account or intent.account_id != fact.account_id:
        return _conflict(fact, batch, [intent], _elsewhere(fact, intent))
    if why := _unsure_code(fact) or _perhaps_the_old_one(fact, batch, named):
        return batch.suggests(fact, [intent], "T2a", why)
    left = batch.left[intent.payment_id]
    if left == fact.fen:
        facts = {"code": intent.code, "left_fen": left}
        return Decision(MATCHED, "T2a", _T2A, ((intent.payment_id, left),), facts)
    return _coded_amount(fact, batch, intent)


def _coded_amount(fact: Fact, batch: Batch, intent: Intent) -> Decision:
    """T2b, T8: a code alone is one fact; with another amount the payer has to be the second."""
    left = batch.left[intent.payment_id]
    if left == 0:
        return batch.suggests(fact, [intent], "T2a", "核对码一致，但支付单已付清或已关闭")
    facts: dict[str, Any] = {"code": intent.code, "left_fen": left}
    if less := _less_a_fee(fact, batch, intent, facts, "核对码一致"):
        return less
    differs = f"应付 {yuan(left)} 元，到账 {yuan(fact.fen)} 元"
    if batch.book.knows(fact, intent):
        facts |= {"payer_account": fact.payer_account, "payer_name": fact.payer_name}
        why = f"核对码一致，付款人曾为该买家付款；{differs}"
        return _pays(fact, intent, "T2b", (why,), facts)
    return batch.suggests(fact, [intent], "T2b", f"核对码一致，金额不符：{differs}", facts)


def several_codes(fact: Fact, batch: Batch) -> Decision | None:
    """T3a, T3b, W: codes that name several payments."""
    named = batch.book.coded(fact)
    if len(named) < 2:
        return None
    if fact.virtual_account:
        return _conflict(fact, batch, named, _elsewhere(fact, named[0]))
    return _of_several(fact, batch, named)


def several_codes_by_hand(fact: Fact, batch: Batch) -> Decision | None:
    """T3 of 2026.11: a person divides the money."""
    named = batch.book.coded(fact)
    if len(named) < 2:
        return None
    return batch.suggests(fact, named, "T3", "附言中有多个支付单的核对码")


def _of_several(fact: Fact, batch: Batch, named: Sequence[Intent]) -> Decision:
    split = {one.payment: batch.left[one.payment_id] for one in named}
    adds_up = sum(split.values()) == fact.fen and all(split.values())
    facts: dict[str, Any] = {"codes": sorted(one.code for one in named)}
    if adds_up:
        facts["split"] = split
    if why := _why_not_divided(fact, batch, named, split):
        return batch.suggests(fact, named, "T3b", why, facts)
    pays = tuple((one.payment_id, batch.left[one.payment_id]) for one in named)
    facts["left_fen"] = fact.fen
    why = f"附言中有同一买家 {len(named)} 张支付单的核对码，金额等于应付之和"
    return Decision(MATCHED, "T3a", (why,), pays, facts)


def _why_not_divided(
    fact: Fact, batch: Batch, named: Sequence[Intent], split: dict[str, int]
) -> str:
    total = sum(split.values())
    refusals = (
        (len({one.payer_id for one in named}) > 1, "附言中有多位买家的核对码"),
        (len(named) > MOST_CODES, f"附言中有超过 {MOST_CODES} 个核对码"),
        (any(one.account_id != fact.account_id for one in named), "有支付单在另一个收款账户"),
        (not all(split.values()), "附言中有已付清或已关闭的支付单的核对码"),
        (bool(unsure := _unsure_code(fact)), unsure),
        (bool(old := _perhaps_the_old_one(fact, batch, named)), old),
        (
            total != fact.fen,
            f"附言中有多张支付单的核对码，应付合计 {yuan(total)} 元，到账 {yuan(fact.fen)} 元",
        ),
    )
    return next((why for holds, why in refusals if holds), "")


# --- common -------------------------------------------------------------------------------------


def _less_a_fee(
    fact: Fact, batch: Batch, intent: Intent, facts: dict[str, Any], named: str
) -> Decision | None:
    """T8: a bank on the way kept no more than the merchant bears, and no more than arrived.

    Without the last, one fen would pay for anything that costs less than the fee.
    """
    if not batch.takes_fees:
        return None
    terms = batch.terms_of(intent)
    short = facts["left_fen"] - fact.fen
    if not 0 < short <= min(terms.fee_up_to_fen, fact.fen) or "T8" in terms.off:
        return None
    why = f"{named}；途中扣费 {yuan(short)} 元，在商家可接受的范围内"
    return _pays(fact, intent, "T8", (why,), {**facts, "short_fen": short})


def _unsure_code(fact: Fact) -> str:
    """Why a code that was not written whole is for a person to confirm."""
    if fact.codes.is_spelled:
        return "核对码以中文数字写出，需人工确认"
    if fact.codes.is_joined and len(fact.codes.found) > 1:
        return "附言中拼接出多个可能的核对码"
    return ""


def _perhaps_the_old_one(fact: Fact, batch: Batch, named: Sequence[Intent]) -> str:
    """Why a code that was another payment's long ago is not enough.

    That payer may have kept it in his bank's list of remarks, and prices repeat; unless this one is
    known to pay for this buyer.
    """
    if any(one.is_code_again and not batch.book.knows(fact, one) for one in named):
        return "核对码两年前属于另一张支付单，付款人没有为该买家付过款，需人工确认"
    return ""


def _elsewhere(fact: Fact, intent: Intent) -> str:
    """Why money with a sound code did not come to where it was expected."""
    if fact.virtual_account:
        return f"到账的专属账号 {fact.virtual_account} 未分配，附言核对码属于 {intent.payment}"
    return "核对码对应的支付单在另一个收款账户"


def _disagree(intent: Intent, other: Intent) -> str:
    return f"专属账号属于支付单 {intent.payment}，附言核对码属于支付单 {other.payment}"


def _pays(
    fact: Fact, intent: Intent, rule: str, reasons: tuple[str, ...], facts: dict[str, Any]
) -> Decision:
    return Decision(MATCHED, rule, reasons, ((intent.payment_id, fact.fen),), facts)


def _conflict(fact: Fact, batch: Batch, named: Sequence[Intent], reason: str) -> Decision:
    candidates = batch.candidates(fact, named, reason)
    return Decision(CONFLICT, "W", (reason,), facts=named_by(fact), candidates=candidates)
