"""T4–T7: nothing names the payment, so the payer has to be known, or a person decides."""

from collections.abc import Sequence

from config.kit.money import yuan
from payments.transfers.ladder.batch import Batch
from payments.transfers.ladder.facts import Decision, Fact, Intent, named_by
from payments.transfers.ladder.named import suggest_sum
from payments.transfers.remarks import is_pooled, is_whole_account, near_codes, normal_name
from payments.transfers.rules import Verdict

MOST_REJECTED = 3  # shown beside what was decided
SHANGHAI, DAY = 28_800, 86_400  # seconds; the first: ahead of UTC
CLOCKS_DIFFER = 600  # seconds, between the bank and us


def known_account(fact: Fact, batch: Batch) -> Decision | None:
    """T4, T4b: this very account has paid for a buyer before."""
    if not is_whole_account(fact.payer_account) or is_pooled(fact.payer_name):
        return None
    mark = f"账号{fact.payer_account}"
    buyers = batch.buyers(mark)
    were = [one for one in batch.open_of(buyers) if one.account_id == fact.account_id]
    if not were:
        return None
    account = {"payer_account": fact.payer_account}
    if len(buyers) > 1 or mark in batch.book.busy:
        why = "曾为多位买家付款" if len(buyers) > 1 else "的来账太多，不能确认只为一位买家付过款"
        return batch.suggests(fact, were, "T4", f"付款账号{why}", batch.seen(fact, were, **account))
    open_ = [one for one in were if batch.left[one.payment_id]]
    if len(open_) > 1:
        return suggest_sum(fact, batch, open_, ("T4b", "T4"), "付款账号曾为该买家付款", **account)
    return _of_a_known_account(fact, batch, *(open_ or were))


def _of_a_known_account(fact: Fact, batch: Batch, intent: Intent, *paid: Intent) -> Decision:
    left = batch.left[intent.payment_id]
    facts = batch.seen(fact, [intent], payer_account=fact.payer_account)
    if not left:
        why = "付款账号已知，但支付单已由同一批的另一笔来账付清"
        return batch.suggests(fact, [intent, *paid], "T4", why, facts)
    if fact.fen != left:
        differs = f"应付 {yuan(left)} 元，到账 {yuan(fact.fen)} 元"
        return batch.suggests(fact, [intent], "T4", f"付款账号已知，金额不符：{differs}", facts)
    if why := _speaks_against(fact, batch, intent):
        return batch.suggests(fact, [intent], "T4", why, facts)
    why = "付款账号曾为该买家付款，其唯一一张待支付的支付单金额相同"
    return _pays(fact, batch, intent, "T4", why)


def near_code(fact: Fact, batch: Batch) -> Decision | None:
    """T6: one typing error away from the code of exactly one open payment, payer known."""
    near = [
        intent
        for code in sorted(near_codes(fact.texts))
        for intent in batch.book.by_code.get(code, ())
        if batch.left[intent.payment_id] and intent.account_id == fact.account_id
    ]
    if len(near) != 1:
        return None
    intent = near[0]
    if batch.left[intent.payment_id] != fact.fen or not batch.book.knows(fact, intent):
        return None
    why = f"附言与核对码 {intent.code} 只差一处，金额等于应付，付款人曾为该买家付款"
    is_its_own = not fact.virtual_account and not _came_before(fact, intent)
    if "T6" in batch.terms_of(intent).auto and is_its_own:
        return _pays(fact, batch, intent, "T6", why)
    facts = batch.seen(fact, [intent], near_code=intent.code, payer_name=fact.payer_name)
    return batch.suggests(fact, [intent], "T6", why, facts)


def same_name(fact: Fact, batch: Batch) -> Decision | None:
    """T5: somebody of exactly this name has paid for a buyer before; no proof that it is he."""
    name = normal_name(fact.payer_name)
    if not name or is_pooled(fact.payer_name):
        return None
    known = batch.open_of(batch.buyers(f"户名{name}"))
    equal = [
        one
        for one in known
        if one.account_id == fact.account_id and batch.left[one.payment_id] == fact.fen
    ]
    if not equal:
        return None
    facts = batch.seen(fact, equal, payer_name=fact.payer_name, equal=len(equal))
    if len(equal) > 1:
        why = "户名与付过款的付款人相同，有多张支付单金额相同"
        return batch.suggests(fact, equal, "T5", why, facts)
    intent = equal[0]
    if "T5" in batch.terms_of(intent).auto and _is_the_only_one(fact, batch, intent, known):
        why = "户名与曾为该买家付款的付款人相同，户名和金额在待支付的支付单中都唯一"
        return _pays(fact, batch, intent, "T5", why)
    why = "户名与曾为该买家付款的付款人相同，金额等于应付"
    return batch.suggests(fact, equal, "T5", why, facts)


def _is_the_only_one(fact: Fact, batch: Batch, intent: Intent, known: Sequence[Intent]) -> bool:
    """No second payment of the name or the amount, and no account that says it is another."""
    asking = batch.asking(fact.account_id, fact.fen)
    return (
        not is_whole_account(fact.payer_account)
        and fact.fen not in batch.book.crowded
        and f"户名{normal_name(fact.payer_name)}" not in batch.book.busy
        and len(known) == 1
        and all(one.payment_id == intent.payment_id for one in asking)
        and not _speaks_against(fact, batch, intent)
    )


def same_amount(fact: Fact, batch: Batch) -> Decision | None:
    """T7: of all open payments only one asks for so much.  Never enough to pay."""
    asking = batch.asking(fact.account_id, fact.fen)
    if fact.fen in batch.book.crowded or len(asking) != 1:
        return None
    if batch.left[asking[0].payment_id] != fact.fen:
        return None
    why = "只有一张待支付的支付单金额相同，别无依据"
    return batch.suggests(fact, asking, "T7", why, batch.seen(fact, asking, equal=1))


def nobody(fact: Fact, batch: Batch) -> Decision:
    """Nothing is known; what came nearest is kept."""
    asking = batch.asking(fact.account_id, fact.fen)
    nearest = asking[:MOST_REJECTED]
    why_not = "金额相同的支付单不止一张" if len(asking) > 1 else ""
    candidates = batch.candidates(fact, nearest, why_not)
    facts = named_by(fact) | {"equal": len(asking)}
    return Decision(
        Verdict.UNMATCHED, "", (_why_unmatched(fact),), facts=facts, candidates=candidates
    )


def _why_unmatched(fact: Fact) -> str:
    if fact.virtual_account:
        return f"专属账号 {fact.virtual_account} 未分配给任何支付单"
    if fact.codes.found:
        return f"核对码 {'、'.join(sorted(fact.codes.found))} 不属于任何支付单"
    return "附言中没有核对码"


def _came_before(fact: Fact, intent: Intent) -> bool:
    """Whether the money was booked before anybody was asked for it."""
    if (fact.booked + SHANGHAI) % DAY:
        return fact.booked + CLOCKS_DIFFER < intent.opened
    return fact.booked + DAY <= intent.opened


def _speaks_against(fact: Fact, batch: Batch, intent: Intent) -> str:
    """What else the line says, if it names another payment, nobody's account or another time."""
    if _came_before(fact, intent):
        return "来账早于支付单，可能是付别的"
    if not fact.payer_name.strip():
        return "银行没有给出付款户名，账号可能是支付公司的"
    if fact.virtual_account:
        return f"到账的专属账号 {fact.virtual_account} 未分配给任何支付单"
    for code in sorted(near_codes(fact.texts)):
        for other in batch.book.by_code.get(code, ()):
            if other.order != intent.order and batch.left[other.payment_id]:
                return f"附言与另一张支付单 {other.payment} 的核对码只差一处"
    return ""


def _pays(fact: Fact, batch: Batch, intent: Intent, rule: str, why: str) -> Decision:
    """With what else asked for the same amount, and was rejected."""
    asking = batch.asking(fact.account_id, fact.fen)[: MOST_REJECTED + 1]
    others = [one for one in asking if one.payment_id != intent.payment_id]
    return Decision(
        Verdict.MATCHED,
        rule,
        (why,),
        ((intent.payment_id, fact.fen),),
        {
            "payer_account": fact.payer_account,
            "payer_name": fact.payer_name,
            "left_fen": fact.fen,
        },
        batch.candidates(fact, others, "付款人不曾为该买家付款"),
    )
