"""Signatures both ways: what WeChat Pay's sandbox refuses, and which of its keys signs."""

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.sandbox.merchant import OPENID, TRADE_NO, Merchant, client, opened, said
from tests.sandbox.wechat import APPID
from tests.sandbox.wechat_pay import keys
from tests.sandbox_fixtures import Sandbox

QUERY = f"/v3/pay/transactions/out-trade-no/{TRADE_NO}?mchid={keys.MCHID}"
CLOSE = f"/v3/pay/transactions/out-trade-no/{TRADE_NO}/close"


def ask(sandbox: Sandbox, method: str, target: str, body: bytes = b"", **other: Any) -> Any:
    """A request signed here, without any library; `other` replaces parts of what is sent."""
    held = keys.ensure(sandbox.home)
    key = other.get("key") or serialization.load_pem_private_key(
        held.merchant_private.read_bytes(), password=None
    )
    stamp = str(int(time.time()) - other.get("ago", 0))
    nonce = other.get("nonce", secrets.token_hex(16))
    text = f"{method}\n{target}\n{stamp}\n{nonce}\n".encode() + body + b"\n"
    said = {
        "mchid": other.get("mchid", keys.MCHID),
        "nonce_str": nonce,
        "signature": base64.b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode(),
        "timestamp": stamp,
        "serial_no": other.get("serial", held.merchant_serial),
    }
    scheme = other.get("scheme", "WECHATPAY2-SHA256-RSA2048")
    headers = {
        "Authorization": f"{scheme} " + ",".join(f'{name}="{one}"' for name, one in said.items()),
        "Accept": "application/json",
        "User-Agent": "a test",
        "Content-Type": "application/json",
        **other.get("headers", {}),
    }
    sent = other.get("sent", body)
    url = f"{sandbox.base_url}{other.get('url', target)}"
    return sandbox.http.request(method, url, data=sent, headers=headers, timeout=10)


def is_signed(merchant: Merchant, answer: requests.Response) -> bool:
    return bool(merchant.library._core._verify_signature(answer.headers, answer.text))


# --- the merchant's -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"ago": 302},
        {"ago": -302},
        {"serial": "4" * 40},
        {"mchid": "1900000109"},
        {"scheme": "WECHATPAY2-SM2-WITH-SM3"},
        {"sent": b'{"mchid":"1900000001" }'},
        {"url": f"{CLOSE}?x=1"},
        {"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)},
        {"headers": {"Accept": "text/html"}},
        {"headers": {"User-Agent": ""}},
        {"headers": {"Authorization": "WECHATPAY2-SHA256-RSA2048 nothing"}},
        {"headers": {"Authorization": ""}},
    ],
)
def test_an_unsigned_request_changes_nothing(merchant: Merchant, wrong: dict[str, Any]) -> None:
    merchant.pay()
    answer = ask(merchant.sandbox, "POST", CLOSE, b'{"mchid":"1900000001"}', **wrong)

    assert (answer.status_code, answer.json()["code"]) == (401, "SIGN_ERROR")
    assert "Wechatpay-Signature" not in answer.headers
    assert merchant.query()[1]["trade_state"] == "NOTPAY"


def test_the_same_request_without_a_flaw_is_answered(merchant: Merchant) -> None:
    merchant.pay()
    answer = ask(merchant.sandbox, "POST", CLOSE, b'{"mchid":"1900000001"}', ago=290)
    assert (answer.status_code, answer.content) == (204, b"")
    assert is_signed(merchant, answer)


def test_a_nonce_is_good_once(merchant: Merchant) -> None:
    merchant.pay()
    assert ask(merchant.sandbox, "GET", QUERY, nonce="once").status_code == 200
    again = ask(merchant.sandbox, "GET", QUERY, nonce="once")
    assert (again.status_code, again.json()["code"]) == (401, "SIGN_ERROR")


def test_a_refusal_is_signed_too(merchant: Merchant) -> None:
    answer = ask(merchant.sandbox, "GET", QUERY)
    assert (answer.status_code, answer.json()["code"]) == (404, "ORDER_NOT_EXIST")
    assert is_signed(merchant, answer)


@pytest.mark.parametrize(("method", "target"), [("GET", "/v3/nowhere"), ("GET", CLOSE)])
def test_another_road_is_not_there(merchant: Merchant, method: str, target: str) -> None:
    assert ask(merchant.sandbox, method, target).status_code == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"text"'])
def test_a_body_is_a_json_object(merchant: Merchant, body: bytes) -> None:
    answer = ask(merchant.sandbox, "POST", "/v3/pay/transactions/jsapi", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "PARAM_ERROR")


# --- WeChat Pay's ---------------------------------------------------------------------------------


def test_the_request_names_the_key_of_its_answer_else_the_regime_does(
    merchant: Merchant, old_merchant: Merchant
) -> None:
    held = keys.ensure(merchant.sandbox.home)
    names = {"certificate": held.platform_serial, "public_key": held.public_key_id}

    def serial(wanted: str) -> str:
        headers = {"Wechatpay-Serial": wanted} if wanted else {}
        answer = ask(merchant.sandbox, "GET", QUERY, headers=headers)
        mine = merchant if answer.headers["Wechatpay-Serial"].startswith("PUB") else old_merchant
        assert is_signed(mine, answer)
        return str(answer.headers["Wechatpay-Serial"])

    for regime, usual in names.items():
        merchant.control("regime", regime=regime)
        assert [serial(wanted) for wanted in ("", "unknown", *names.values())] == [
            usual,
            usual,
            *names.values(),
        ]
    merchant.control("regime", regime="public_key_only")
    assert {serial(wanted) for wanted in ("", *names.values())} == {names["public_key"]}


def test_the_regime_signs_the_notices(merchant: Merchant, old_merchant: Merchant) -> None:
    held = keys.ensure(merchant.sandbox.home)
    for number, (regime, reader, serial) in enumerate(
        [
            ("certificate", old_merchant, held.platform_serial),
            ("public_key", merchant, held.public_key_id),
            ("public_key_only", merchant, held.public_key_id),
        ]
    ):
        merchant.control("regime", regime=regime)
        merchant.paid(f"order-00000{number}")
        merchant.notices()
        headers, body, _ = merchant.hook.got[-1]
        assert headers["Wechatpay-Serial"] == serial
        assert headers["Wechatpay-Signature-Type"] == "WECHATPAY2-SHA256-RSA2048"
        assert opened(reader.library, headers, body) is not None


def test_the_certificate_can_be_fetched_unless_the_merchant_is_new(old_merchant: Merchant) -> None:
    core = old_merchant.library._core
    core._update_certificates()
    (found,) = core._certificates
    held = keys.ensure(old_merchant.sandbox.home)
    assert found == x509.load_pem_x509_certificate(held.platform_cert.read_bytes())

    old_merchant.control("regime", regime="public_key_only")
    status, refused = said(core.request("/v3/certificates"))
    assert (status, refused["code"]) == (404, "RESOURCE_NOT_EXISTS")


@pytest.mark.filterwarnings("ignore:.*naïve:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("regime", ["certificate", "public_key"])
def test_a_payees_name_is_sealed_with_either_key(
    sandbox: Sandbox, merchant: Merchant, regime: str, tmp_path: Path
) -> None:
    reader = Merchant(sandbox, merchant.hook, client(sandbox, regime, tmp_path / "keys"))
    reader.control("regime", regime=regime)
    assert reader.transfer("T1", 200_000, "王小明")[0] == 200
    found = reader.transferred("T1")
    assert reader.library.decrypt(found["user_name"]) == "王小明"


def test_a_name_that_cannot_be_read_is_refused(merchant: Merchant) -> None:
    body = {
        "appid": APPID,
        "out_bill_no": "T1",
        "transfer_scene_id": "1000",
        "openid": OPENID,
        "transfer_amount": 200_000,
        "transfer_remark": "退押金",
        "transfer_scene_report_infos": [{"info_type": "活动名称", "info_content": "退押金"}],
        "user_name": merchant.library._core.encrypt("王小明"),
    }
    held = keys.ensure(merchant.sandbox.home)
    for serial, status in [("", 400), (held.platform_serial, 400), (held.public_key_id, 200)]:
        answer = ask(
            merchant.sandbox,
            "POST",
            "/v3/fund-app/mch-transfer/transfer-bills",
            json.dumps(body).encode(),
            headers={"Wechatpay-Serial": serial},
        )
        assert answer.status_code == status, answer.text


def test_keys_are_made_once_for_us_alone_and_none_twice(tmp_path: Path) -> None:
    first = keys.ensure(tmp_path / "home")
    known = {path: path.read_bytes() for path in (tmp_path / "home").iterdir()}

    again = keys.ensure(tmp_path / "home")

    assert again == first
    assert {path: path.read_bytes() for path in (tmp_path / "home").iterdir()} == known
    assert {path.stat().st_mode & 0o777 for path in known} == {0o600}
    assert len(first.apiv3_key) == 32
    assert first.public_key_id.startswith("PUB_KEY_ID_")
    assert len(first.platform_serial) == len(first.merchant_serial) == 40
    private = [first.merchant_private, first.platform_private, first.public_key_private]
    assert len({path.read_bytes() for path in private}) == 3
