"""WeChat Pay on the wire: prepays as the shop sends them, notices as WeChat does."""

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from wechatpayv3.utils import build_authorization, load_private_key

from tests.bench import load
from tests.bench.beside import Ask
from tests.sandbox.wechat import APPID
from tests.sandbox.wechat_pay.books import rfc3339
from tests.sandbox.wechat_pay.keys import MCHID, ensure
from tests.sandbox.wechat_pay.notices import KINDS
from tests.sandbox.wechat_pay.signing import Platform

HOOK = f"{load.API}/hooks/wechat-pay"
PREPAY = "/v3/pay/transactions/jsapi"
PAID = "TRANSACTION.SUCCESS"


def prepays(home: str) -> Iterator[load.Journey]:
    """Signed before the clock of each begins: what is measured is the sandbox's own time."""
    keys = ensure(Path(home))
    key = load_private_key(keys.merchant_private.read_text())
    while True:
        body = json.dumps(
            {
                "appid": APPID,
                "mchid": MCHID,
                "description": "订单 D0000",
                "out_trade_no": f"P{uuid4().hex[:24].upper()}",
                "notify_url": f"http://localhost{HOOK}",
                "time_expire": rfc3339(time.time() + 86_400),
                "amount": {"total": 9_900, "currency": "CNY"},
                "payer": {"openid": "o1"},
            },
            ensure_ascii=False,
        )
        signed = build_authorization(PREPAY, "POST", MCHID, keys.merchant_serial, key, data=body)
        content = body.encode()
        head = (
            f"POST {PREPAY} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
            f"User-Agent: bench\r\nAuthorization: {signed}\r\nContent-Type: application/json\r\n"
            f"Wechatpay-Serial: {keys.public_key_id}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        yield _once(head.encode() + content)


def _once(request: bytes) -> load.Journey:
    load.expect((yield request), 200)
    return True


def notices(home: str, trades: Sequence[tuple[str, int, str]]) -> Iterator[Ask]:
    """One for each (out_trade_no, fen, openid), signed and sealed one by one, as they are sent."""
    platform = Platform(ensure(Path(home)))
    summary, original_type, associated_data = KINDS[PAID]
    for number, fen, openid in trades:
        resource = {
            "mchid": MCHID,
            "appid": APPID,
            "out_trade_no": number,
            "transaction_id": f"42{secrets.randbelow(10**26):026d}",
            "trade_type": "JSAPI",
            "trade_state": "SUCCESS",
            "bank_type": "OTHERS",
            "success_time": rfc3339(time.time()),
            "payer": {"openid": openid},
            "amount": {
                "total": fen,
                "payer_total": fen,
                "currency": "CNY",
                "payer_currency": "CNY",
            },
        }
        sealed = platform.seal(json.dumps(resource, ensure_ascii=False).encode(), associated_data)
        said = {
            "id": str(uuid4()),
            "create_time": resource["success_time"],
            "resource_type": "encrypt-resource",
            "event_type": PAID,
            "summary": summary,
            "resource": {"original_type": original_type, **sealed.said()},
        }
        body = json.dumps(said, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", **platform.headers(body)}
        yield Ask("notice", "POST", HOOK, headers, body)
