"""What proves that a message is WeChat's: real keys, both regimes, nothing but their signatures."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

from payments.channels.answers import BadNotice
from payments.channels.wechat import WeChatPay

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
APIV3_KEY = "0123456789abcdef0123456789abcdef"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026010100000000000001"


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def certified(key, serial):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), serial)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2031, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def theirs():
    """The keys of WeChat's, by the serial that names them on the wire."""
    certificate, public = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    return {"0A1B2C3D4E5F": certificate, PUBLIC_KEY_ID: public}


@pytest.fixture(scope="module")
def ours(theirs):
    merchant = rsa.generate_private_key(65537, 2048)
    return WeChatPay(
        {
            "mchid": "1900000001",
            "base_url": "http://127.0.0.1:9",
            "notify_url": "http://127.0.0.1:9/notify",
            "merchant_certificate": certified(merchant, 77),
            "private_key": pem(merchant),
            "apiv3_key": APIV3_KEY,
            "certificates": [certified(theirs["0A1B2C3D4E5F"], 0x0A1B2C3D4E5F)],
            "public_keys": {PUBLIC_KEY_ID: public_pem(theirs[PUBLIC_KEY_ID]).decode()},
        },
        "wx5a9d0b3c7e1f2468",
    )


def body(told=None, key=APIV3_KEY, **more):
    nonce, data = "abcdef012345", json.dumps(told or {"out_trade_no": "P1"}).encode()
    sealed = AESGCM(key.encode()).encrypt(nonce.encode(), data, b"transaction")
    return json.dumps(
        {
            "id": "EV-1",
            "event_type": "TRANSACTION.SUCCESS",
            "resource": {
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": base64.b64encode(sealed).decode(),
                "nonce": nonce,
                "associated_data": "transaction",
                **more,
            },
        }
    ).encode()


def signed(theirs, said, serial="0A1B2C3D4E5F", at=NOW, **changed):
    stamp, nonce = str(int(at.timestamp())), "0123456789"
    text = f"{stamp}\n{nonce}\n".encode() + said + b"\n"
    signature = theirs[serial].sign(text, padding.PKCS1v15(), hashes.SHA256())
    headers = {
        "Wechatpay-Serial": serial,
        "Wechatpay-Timestamp": stamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": base64.b64encode(signature).decode(),
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }
    return headers | {f"Wechatpay-{name.replace('_', '-')}": text for name, text in changed.items()}


@pytest.mark.parametrize("serial", ["0A1B2C3D4E5F", PUBLIC_KEY_ID])
def test_both_regimes_are_heard_at_once(ours, theirs, serial):
    said = body({"out_trade_no": "P7"})

    notice = ours.hear(signed(theirs, said, serial), said, NOW)

    assert (notice.id, notice.kind) == ("EV-1", "TRANSACTION.SUCCESS")
    assert notice.told == {"out_trade_no": "P7"}


@pytest.mark.parametrize("serial", ["a1b2c3d4e5f", "0a1b2c3d4e5f", "A1B2C3D4E5F"])
def test_a_hex_serial_is_a_number_however_it_is_spelt(ours, theirs, serial):
    said = body()

    assert ours.hear(signed(theirs, said, Serial=serial), said, NOW).id == "EV-1"


@pytest.mark.parametrize(
    "changed",
    [
        {"Serial": "FFFF"},
        {"Serial": ""},
        {"Serial": "not hex at all"},
        {"Serial": PUBLIC_KEY_ID},  # the other regime's key
        {"Timestamp": ""},
        {"Timestamp": "-1"},
        {"Timestamp": "²"},
        {"Nonce": "other"},
        {"Signature": ""},
        {"Signature": "WECHATPAY/SIGNTEST/AAAA"},
        {"Signature": "%%%"},
        {"Signature_Type": "WECHATPAY2-SM2-WITH-SM3"},
    ],
)
def test_anything_else_proves_nothing(ours, theirs, changed):
    said = body()

    with pytest.raises(BadNotice):
        ours.hear(signed(theirs, said, **changed), said, NOW)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_message_has_its_time(ours, theirs, minutes):
    said = body()
    headers = signed(theirs, said, at=NOW - timedelta(minutes=minutes))

    with pytest.raises(BadNotice):
        ours.hear(headers, said, NOW)
    assert ours.hear(headers, said, NOW - timedelta(minutes=minutes)).id == "EV-1"


def test_what_is_signed_are_the_bytes(ours, theirs):
    said = body()

    with pytest.raises(BadNotice):
        ours.hear(signed(theirs, said), said + b" ", NOW)


@pytest.mark.parametrize(
    "said",
    [
        body(key="another key of thirty-two signs!!"[:32]),
        body(algorithm="AEAD_SM4_GCM"),
        body(nonce=7),
        body(ciphertext="%%"),
        body(associated_data="refund"),
        b"{}",
        b"[]",
        b"not json",
        b'{"resource": null, "id": "EV-1"}',
        b"\xff\xfe",
    ],
)
def test_a_signed_message_that_is_no_notice_is_refused_not_a_crash(ours, theirs, said):
    with pytest.raises(BadNotice):
        ours.hear(signed(theirs, said), said, NOW)


def test_without_any_header_it_is_refused(ours):
    with pytest.raises(BadNotice):
        ours.hear({}, body(), NOW)
