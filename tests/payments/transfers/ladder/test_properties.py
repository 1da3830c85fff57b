"""Whatever comes in: what is paid is open, adds up, and belongs to one buyer."""

from hypothesis import given
from hypothesis import strategies as st

from payments.transfers.ladder.facts import Book, Fact, Intent, Terms
from payments.transfers.ladder.versions import LADDERS, decide
from payments.transfers.remarks import codes_in
from payments.transfers.rules import Verdict
from tests.payments.transfers.ladder.cast import code

ACCOUNTS, BUYERS, PRICES = [1, 2], [501, 502, 503], [100, 200, 300]
PAYERS = [("王小美", "6222"), ("王小美", "6***"), ("李四", "6333"), ("", ""), ("支付宝", "2155")]
MARKS = [{"账号6222", "户名王小美"}, {"户名王小美"}, {"账号6333", "户名李四"}, set()]


@st.composite
def intents(draw):
    """A dozen payments; a buyer may have an account of his own, on which all of his wait."""
    own = draw(st.sets(st.sampled_from(BUYERS)))
    made = []
    for pk in range(draw(st.integers(1, 12))):
        buyer = draw(st.sampled_from(BUYERS))
        account = draw(st.sampled_from(ACCOUNTS))
        virtual = f"V{account}-{buyer}" if buyer in own else draw(st.sampled_from(["", f"V{pk}"]))
        made.append(
            Intent(
                pk,
                f"P{pk}",
                f"O{pk}",
                account,
                virtual,
                buyer in own and virtual != "",
                code(pk),
                draw(st.sampled_from(PRICES)),
                draw(st.booleans()),
                buyer,
                draw(st.sampled_from(["M1", "M2"])),
            )
        )
    return made


@st.composite
def batches(draw):
    asked = draw(intents())
    lines = []
    for key in range(draw(st.integers(1, 8))):
        named = draw(st.lists(st.sampled_from(asked), max_size=2))
        sound = [one.code for one in named]
        wrong = [one.code[:-1] for one in draw(st.lists(st.sampled_from(asked), max_size=1))]
        texts = ("，".join(["货款", *sound, *wrong]),)
        virtual = draw(st.sampled_from(["", "", "V0", *(one.virtual_account for one in asked)]))
        name, account = draw(st.sampled_from(PAYERS))
        fen = draw(st.one_of(st.sampled_from([*PRICES, 400, 500, 199]), st.integers(1, 1000)))
        lines.append(
            Fact(
                key,
                draw(st.sampled_from(ACCOUNTS)),
                fen,
                virtual,
                codes_in(texts),
                texts,
                name,
                account,
                draw(st.sampled_from(["", "", "", "看一下"])),
                draw(st.sampled_from([False, False, False, True])),
            )
        )
    book = Book.of(asked)
    book.payers = {buyer: draw(st.sampled_from(MARKS)) for buyer in BUYERS}
    rules = st.sets(st.sampled_from(["T1a", "T2a", "T4", "T5", "T6", "T7", "T8"]), max_size=3)
    book.terms = {
        merchant: Terms(
            off=frozenset(draw(rules)),
            auto=frozenset(draw(rules)),
            up_to_fen=draw(st.sampled_from([None, None, 250])),
            fee_up_to_fen=draw(st.sampled_from([0, 50])),
        )
        for merchant in draw(st.sets(st.sampled_from(["", "M1", "M2"])))
    }
    return lines, book


versions = st.sampled_from(sorted(LADDERS))


@given(batches(), versions)
def test_what_pays_adds_up_to_the_line_and_nothing_else_pays(batch, version):
    lines, book = batch

    for line, decision in zip(lines, decide(lines, book, version), strict=True):
        assert bool(decision.pays) == (decision.verdict == Verdict.MATCHED)
        assert decision.reasons
        assert decision.reasons
        if decision.pays:
            assert sum(fen for _, fen in decision.pays) == line.fen
            assert all(fen > 0 for _, fen in decision.pays)
            assert decision.facts


@given(batches(), versions)
def test_only_open_payments_on_this_account_are_paid_but_for_a_virtual_account_of_their_own(
    batch, version
):
    lines, book = batch

    for line, decision in zip(lines, decide(lines, book, version), strict=True):
        for payment_id, _ in decision.pays:
            intent = book.intents[payment_id]
            assert intent.account_id == line.account_id
            assert intent.is_open or decision.rule == "T1d"
            if decision.rule == "T1d":  # all of it is owed back
                assert line.virtual_account == intent.virtual_account != ""


@given(batches(), versions)
def test_no_line_pays_for_two_buyers_or_against_what_it_names(batch, version):
    lines, book = batch

    for line, decision in zip(lines, decide(lines, book, version), strict=True):
        paid = [book.intents[payment_id] for payment_id, _ in decision.pays]
        assert len({one.payer_id for one in paid}) <= 1
        if paid:
            named = {code for code in line.codes.found if code in book.by_code}
            assert named <= {one.code for one in paid}
            assert line.virtual_account in {"", *(one.virtual_account for one in paid)}


@given(batches())
def test_a_payment_is_never_paid_twice_but_by_its_own_virtual_account(batch):
    lines, book = batch
    taken = dict.fromkeys(book.intents, 0)

    for decision in decide(lines, book):
        for payment_id, fen in decision.pays:
            taken[payment_id] += fen
            if decision.rule not in {"T1b", "T1c", "T1d", "T2b", "T8"}:
                assert taken[payment_id] == book.intents[payment_id].left_fen


@given(batches())
def test_no_rung_pays_that_a_merchant_has_forbidden(batch):
    lines, book = batch

    for line, decision in zip(lines, decide(lines, book), strict=True):
        for payment_id, _ in decision.pays:
            terms = book.terms_of(book.intents[payment_id].merchant)
            assert decision.rule not in terms.off
            assert terms.up_to_fen is None or line.fen <= terms.up_to_fen
            assert decision.rule not in {"T5", "T6"} or decision.rule in terms.auto
            assert decision.rule != "T7"
            assert not line.caution
            assert not line.is_reversed


@given(batches(), st.randoms(use_true_random=False))
def test_the_order_of_lines_that_want_different_payments_means_nothing(batch, random):
    lines, book = batch
    lines = _with_targets_of_their_own(lines, book)
    before = dict(zip(lines, decide(lines, book), strict=True))
    shuffled = random.sample(lines, len(lines))

    after = dict(zip(shuffled, decide(shuffled, book), strict=True))

    assert after == before


def _with_targets_of_their_own(lines, book):
    """Lines that name something, each of them what no line before it names; and all that guess."""
    seen, kept = set(), []
    for line in lines:
        named = {one.payment_id for one in book.coded(line)}
        named |= {
            one.payment_id
            for one in book.intents.values()
            if one.virtual_account == line.virtual_account != ""
        }
        if seen.isdisjoint(named):
            seen |= named
            kept.append(line)
    return kept
