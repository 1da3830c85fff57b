"""What proves that a message is Alipay's: real keys, nothing but their signatures."""

import base64
from urllib.parse import quote_from_bytes, urlencode

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.channels.alipay import Alipay, Trade, yuan
from payments.channels.answers import BadNotice

SAID = {
    "app_id": "2021000000000001",
    "body": "",
    "charset": "utf-8",
    "notify_id": "N1",
    "out_trade_no": "P1",
    "seller_id": "2088000000000001",
    "subject": "龙井 100% 两罐+茶杯&=",
    "total_amount": "99.00",
    "trade_no": "2026112522001",
    "trade_status": "TRADE_SUCCESS",
}
anything = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def public_pem(key):
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


@pytest.fixture(scope="module")
def theirs():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def app():
    return rsa.generate_private_key(65537, 2048)


def told(app, theirs):
    return {
        "app_id": "2021000000000001",
        "seller_id": "2088000000000001",
        "gateway": "http://127.0.0.1:9/gateway.do",
        "notify_url": "http://127.0.0.1:9/notify",
        "private_key": private_pem(app),
        "public_key": public_pem(theirs),
    }


@pytest.fixture(scope="module")
def ours(app, theirs):
    return Alipay(told(app, theirs))


def sign(key, said, algorithm=None):
    text = "&".join(f"{name}={value}" for name, value in sorted(said.items()) if value)
    raw = key.sign(text.encode(), padding.PKCS1v15(), algorithm or hashes.SHA256())
    return base64.b64encode(raw).decode()


def letter(key, said=None, **changed):
    said = SAID if said is None else said
    return urlencode({**said, "sign": sign(key, said), "sign_type": "RSA2", **changed}).encode()


def test_a_notice_is_heard_with_all_that_it_says(ours, theirs):
    notice = ours.hear(letter(theirs))

    assert notice.id == "N1"
    assert notice.told == {name: value for name, value in SAID.items() if value}
    assert notice.trade == Trade(
        out_trade_no="P1",
        status="TRADE_SUCCESS",
        app_id="2021000000000001",
        seller_id="2088000000000001",
        fen=9900,
        trade_no="2026112522001",
        was_paid=True,
    )


def test_keys_are_taken_as_alipay_s_console_gives_them(app, theirs):
    def bare(pem):
        return "".join(pem.splitlines()[1:-1])

    given = told(app, theirs)
    given |= {name: bare(given[name]) for name in ("private_key", "public_key")}

    assert Alipay(given).hear(letter(theirs)).id == "N1"


def test_the_app_s_own_key_proves_nothing(ours, app):
    with pytest.raises(BadNotice):
        ours.hear(letter(app))


@pytest.mark.parametrize(
    "changed",
    [
        {"total_amount": "0.01"},
        {"trade_status": "TRADE_CLOSED"},
        {"extra": "1"},
        {"body": "not signed"},
        {"sign": ""},
        {"sign": "AAAA"},
        {"sign": "%%%"},
        {"sign": "签名"},
        {"sign_type": "RSA"},
        {"sign_type": ""},
        {"sign_type": "rsa2"},
    ],
)
def test_anything_else_proves_nothing(ours, theirs, changed):
    with pytest.raises(BadNotice):
        ours.hear(letter(theirs, **changed))


def test_a_signature_of_the_old_kind_proves_nothing(ours, theirs):
    for kind in ("RSA", "RSA2"):
        old = sign(theirs, SAID, hashes.SHA1())  # noqa: S303
        with pytest.raises(BadNotice):
            ours.hear(letter(theirs, sign=old, sign_type=kind))


def test_a_name_comes_once(ours, theirs):
    body = letter(theirs)

    for more in (b"&total_amount=0.01", b"&total%5Famount=99.00", b"&sign=x", b"&body=1"):
        with pytest.raises(BadNotice):
            ours.hear(body + more)


def test_another_encoding_is_not_guessed_at(ours, theirs):
    said = {**SAID, "charset": "gbk"}
    with pytest.raises(BadNotice):
        ours.hear(letter(theirs, said))
    with pytest.raises(BadNotice):
        ours.hear(urlencode(said, encoding="gbk").encode())


def test_without_a_number_of_its_own_it_is_no_notice(ours, theirs):
    said = {name: value for name, value in SAID.items() if name != "notify_id"}

    with pytest.raises(BadNotice):
        ours.hear(letter(theirs, said))


@anything
@given(st.binary(max_size=400))
def test_garbage_is_refused_and_never_a_crash(ours, body):
    with pytest.raises(BadNotice):
        ours.hear(body)


@anything
@given(
    st.dictionaries(
        st.sampled_from([*SAID, "sign", "sign_type", "x"]), st.binary(max_size=40), max_size=8
    )
)
def test_a_form_of_garbage_is_refused_and_never_a_crash(ours, fields):
    body = b"&".join(
        name.encode() + b"=" + quote_from_bytes(value).encode() for name, value in fields.items()
    )

    with pytest.raises(BadNotice):
        ours.hear(body)


@anything
@given(at=st.integers(0, 5_000), bit=st.integers(0, 7))
def test_no_bit_of_a_letter_can_be_turned(ours, theirs, at, bit):
    """But in the spelling: `+` for `%20`, `%2f` for `%2F`."""
    body = bytearray(letter(theirs))
    at %= len(body)
    body[at] ^= 1 << bit
    try:
        notice = ours.hear(bytes(body))
    except BadNotice:
        return
    assert notice.told == {name: value for name, value in SAID.items() if value}


@anything
@given(
    st.dictionaries(
        st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1),
        st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")),
        max_size=12,
    )
)
def test_whatever_alipay_signs_is_heard_to_the_letter(ours, theirs, more):
    said = {**SAID, **more, "notify_id": "N1", "charset": "utf-8"}
    said = {name: value for name, value in said.items() if name not in {"sign", "sign_type"}}

    notice = ours.hear(letter(theirs, said))

    assert notice.told == {name: value for name, value in said.items() if value}


@pytest.mark.parametrize(
    ("said", "fen"),
    [("0.01", 1), ("99", 9900), ("99.9", 9990), ("100000000.00", 10_000_000_000), ("", -1),
     ("1e3", -1), ("-1.00", -1), ("1.001", -1), ("１.00", -1), ("NaN", -1)],
)  # fmt: skip
def test_an_amount_is_yuan_with_at_most_two_decimals(said, fen):
    assert Trade.of({"total_amount": said}).fen == fen
    if fen > 0:
        assert Trade.of({"total_amount": yuan(fen)}).fen == fen


def test_a_refund_is_told_from_a_payment():
    paid = {"trade_status": "TRADE_SUCCESS", "gmt_payment": "2026-11-25 12:00:00"}
    refund = {"gmt_refund": "2026-11-25 12:30:00.000", "out_biz_no": "R1"}

    assert Trade.of(paid).refund_no == ""
    assert Trade.of({**paid, "out_biz_no": "other"}).refund_no == ""
    assert Trade.of({**paid, **refund}).refund_no == "R1"
    assert Trade.of({"trade_status": "TRADE_CLOSED"}).was_paid is False
    assert Trade.of({"trade_status": "TRADE_CLOSED", **refund}).was_paid is True
