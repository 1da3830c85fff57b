"""The first sale, before the newcomer's eyes: every step over HTTP, none of it pretended."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any
from zoneinfo import ZoneInfo

import requests

from config.kit.money import yuan
from tests.demo.client import Client, Refused, wait_for

SHANGHAI = ZoneInfo("Asia/Shanghai")
BUYERS, PIECES = 50, 10
HOME = {
    "name": "王小美",
    "phone": "13800138000",
    "province": "浙江省",
    "city": "杭州市",
    "district": "西湖区",
    "detail": "龙井路1号",
}


def say(step: str, text: str) -> None:
    print(f"  {step:<10} {text}", flush=True)


def play(demo: dict[str, Any], run: str) -> None:
    """`demo` is what demo.json holds; `run` makes the names of this run's people new."""
    print("\n第一笔交易 · the first sale\n", flush=True)
    order = buy(demo, run)
    pay_by_statement(demo, run)
    pay_by_wechat(demo, run)
    pay_by_alipay(demo, run)
    deliver(demo, order)
    live_sale(demo, run)
    print(flush=True)


def buy(demo: dict[str, Any], run: str) -> dict[str, Any]:
    base, shop = demo["base_url"], demo["merchants"][0]
    buyer = Client(base).wechat(f"小美{run}")
    say("log in", "小美 logs in with WeChat")
    hidden = next(product for product in shop["products"] if product["is_private"])
    assert not buyer.get("products", merchant=shop["id"], private="true")["results"]
    card = buyer.post("memberships", {"member_no": shop["member_no"]})
    say("join", f"joins {shop['name']} by number {shop['member_no']}: card {card['card_no']}")
    product = buyer.get(f"products/{hidden['id']}")
    sku = product["skus"][0]
    say(
        "shelf",
        f"sees the private {product['title']}: ¥{yuan(sku['price_fen'])} "
        f"({sku['price_reason']}), listed at ¥{yuan(sku['list_price_fen'])}",
    )
    guide = Client(base).staff(**demo["staff"]["guide"])
    code = guide.post("guides/me/share-codes", {"target": {"kind": "PRODUCT", "id": hidden["id"]}})
    picture = guide.picture(code["qr_url"])
    seen = buyer.get(f"scenes/{code['code']}")
    say(
        "share",
        f"{seen['guide']['nickname']}'s code {code['code']} ({len(picture):,} bytes of "
        f"mini-program code) leads to {seen['target']['title']}",
    )
    address = buyer.post("me/addresses", HOME)["id"]
    lines = [{"sku": sku["id"], "quantity": 2}]
    quote = buyer.post("quotes", {"lines": lines})
    wish = {"lines": lines, "address_id": address, "quote_token": quote["quote_token"]}
    order = buyer.post("orders", wish, **{"X-Share-Code": code["code"]})["orders"][0]
    guided = order["guide"]["nickname"]
    say("order", f"{order['number']} for ¥{yuan(order['total_fen'])}, guide {guided}")
    pay(demo, buyer, order, f"王小美{run}")
    return {"number": order["number"], "buyer": buyer}


def pay(demo: dict[str, Any], buyer: Client, order: dict[str, Any], name: str) -> None:
    """By bank transfer to the payment's own virtual account; the bank pushes it."""
    payment = buyer.post("payments", {"order": order["number"], "method": "BANK_TRANSFER"})
    told = payment["instructions"]
    transfer(demo, told["account_no"], payment["amount_fen"], name, told["reference"])
    paid = wait_for(
        "the bank's push",
        lambda: buyer.get(f"payments/{payment['number']}"),
        lambda answer: answer["status"] == "CONFIRMED",
    )
    say(
        "paid",
        f"¥{yuan(paid['received_fen'])} to {told['account_no']}, pushed by the bank, matched",
    )


def transfer(demo: dict[str, Any], account: str, fen: int, name: str, remark: str) -> str:
    """The buyer's mobile bank."""
    answer = requests.post(
        f"{demo['sandbox_url']}/bank/transfers",
        json={
            "account_no": account,
            "amount_fen": fen,
            "payer_name": name,
            "payer_account": "6225880100001234",
            "remark": remark,
        },
        timeout=10,
    )
    answer.raise_for_status()
    return str(answer.json()["serial"])


def pay_by_wechat(demo: dict[str, Any], run: str) -> None:
    """A tap on the phone; then the buyer thinks better of it, and has the money back."""
    buyer = Client(demo["base_url"]).wechat(f"阿强{run}")
    address = buyer.post("me/addresses", HOME)["id"]
    public = next(one for one in demo["merchants"][0]["products"] if not one["is_private"])
    lines = [{"sku": public["skus"][0], "quantity": 1}]
    order = buyer.post("orders", {"lines": lines, "address_id": address})["orders"][0]
    ways = buyer.get("payments/methods", order=order["number"])["methods"]
    say("methods", ", ".join(way["title"] for way in ways if way["is_offered"]))
    assert ways[0]["method"] == "WECHAT", ways
    payment = buyer.post("payments", {"order": order["number"], "method": "WECHAT"})
    tapped = requests.post(
        f"{demo['sandbox_url']}/__sandbox__/wechat-pay/pay",
        json={"request_payment": payment["instructions"]},
        timeout=10,
    )
    tapped.raise_for_status()
    paid = wait_for(
        "WeChat's notice",
        lambda: buyer.get(f"payments/{payment['number']}"),
        lambda answer: answer["status"] == "CONFIRMED",
    )
    say("wechat pay", f"¥{yuan(paid['received_fen'])} paid on the phone, told by WeChat, verified")
    buyer.post(f"orders/{order['number']}/cancel")
    wait_for(
        "the refund",
        lambda: requests.get(f"{demo['sandbox_url']}/__sandbox__/wechat-pay/trades", timeout=10),
        lambda answer: any(
            one["out_trade_no"] == payment["number"] and one["status"] == "SUCCESS"
            for one in answer.json()["refunds"]
        ),
    )
    say("refund", f"order {order['number']} is cancelled, the money is back in WeChat")


def pay_by_alipay(demo: dict[str, Any], run: str) -> None:
    """A code on the screen of the mini program, scanned by the phone beside it."""
    buyer = Client(demo["base_url"]).wechat(f"小林{run}")
    address = buyer.post("me/addresses", HOME)["id"]
    public = next(one for one in demo["merchants"][0]["products"] if not one["is_private"])
    lines = [{"sku": public["skus"][0], "quantity": 1}]
    order = buyer.post("orders", {"lines": lines, "address_id": address})["orders"][0]
    payment = buyer.post("payments", {"order": order["number"], "method": "ALIPAY_QR"})
    page = requests.get(payment["instructions"]["qr_content"], timeout=10).text
    shown = re.search(r'name="token" value="(\w+)"', page)
    assert shown, page
    tapped = requests.post(
        f"{demo['sandbox_url']}/alipay/cashier", data={"token": shown[1]}, timeout=10
    )
    assert "支付成功" in tapped.text, tapped.text
    paid = wait_for(
        "Alipay's notification",
        lambda: buyer.get(f"payments/{payment['number']}"),
        lambda answer: answer["status"] == "CONFIRMED",
    )
    say("alipay", f"¥{yuan(paid['received_fen'])} paid by a scanned code, told by Alipay, verified")


def pay_by_statement(demo: dict[str, Any], run: str) -> None:
    """The bank does not push this one: the day's statement brings it."""
    base, shop = demo["base_url"], demo["merchants"][0]
    buyer = Client(base).wechat(f"阿芳{run}")
    address = buyer.post("me/addresses", HOME)["id"]
    public = next(product for product in shop["products"] if not product["is_private"])
    lines = [{"sku": public["skus"][0], "quantity": 1}]
    order = buyer.post("orders", {"lines": lines, "address_id": address})["orders"][0]
    payment = buyer.post("payments", {"order": order["number"], "method": "BANK_TRANSFER"})
    fault = {"path": "push", "kind": "slow", "times": 1, "seconds": 45}
    requests.post(f"{demo['sandbox_url']}/__sandbox__/faults", json=fault, timeout=10)
    told = payment["instructions"]
    transfer(demo, told["account_no"], payment["amount_fen"], f"李阿芳{run}", told["reference"])
    finance = Client(base).staff(**demo["staff"]["finance"])
    day = datetime.now(SHANGHAI).date().isoformat()
    asked = {"account_no": demo["account_no"], "date": day, "format": "cmb_xlsx"}
    file = requests.get(f"{demo['sandbox_url']}/bank/statements", params=asked, timeout=10).content
    statement = finance.upload("bank/statements", f"CMB-{day}.xlsx", file)
    done = wait_for(
        "the statement",
        lambda: finance.get(f"bank/statements/{statement['id']}"),
        lambda answer: answer["status"] != "RUNNING",
    )
    assert done["status"] == "DONE", done
    paid = buyer.get(f"payments/{payment['number']}")
    assert paid["status"] == "CONFIRMED", paid
    say(
        "statement",
        f"{done['lines']} lines of 招商银行 xlsx: {done['matched']} matched, "
        f"{done['duplicates']} known from pushes, {done['unmatched']} unmatched",
    )


def deliver(demo: dict[str, Any], order: dict[str, Any]) -> None:
    number, buyer = order["number"], order["buyer"]
    merchant = Client(demo["base_url"]).staff(**demo["staff"]["merchant"])
    parcel = {"carrier": "顺丰速运", "tracking_no": "SF1234567890"}
    merchant.post(f"orders/{number}/shipments", parcel)
    buyer.post(f"orders/{number}/confirm-receipt")
    say("delivered", "shipped by 顺丰速运, receipt confirmed")
    guide = Client(demo["base_url"]).staff(**demo["staff"]["guide"])

    def commission() -> Any:
        found = guide.get("guides/me/commissions", limit=100)["results"]
        return next(one for one in found if one["order"] == number)

    earned = wait_for("the commission", commission, lambda one: one["status"] == "EARNED", 40)
    say("earned", f"导购阿强's commission: ¥{yuan(earned['amount_fen'])}")


def live_sale(demo: dict[str, Any], run: str) -> None:
    """Fifty buyers race for ten pieces over HTTP."""
    base, shop = demo["base_url"], demo["merchants"][0]
    host = Client(base).staff(**demo["staff"]["merchant"])
    at = datetime.now(SHANGHAI)
    product = next(product for product in shop["products"] if not product["is_private"])
    session = host.post(
        "live/sessions",
        {
            "merchant": shop["id"],
            "title": f"春茶专场 {run}",
            "starts_at": at.isoformat(),
            "ends_at": (at + timedelta(hours=2)).isoformat(),
        },
    )
    host.post(f"live/sessions/{session['id']}/start")
    lot = host.post(
        f"live/sessions/{session['id']}/lots",
        {"sku": product["skus"][0], "price_fen": 99_00, "quota": PIECES},
    )
    buyers = [Client(base).wechat(f"{run}号{n}") for n in range(BUYERS)]
    homes = [buyer.post("me/addresses", HOME)["id"] for buyer in buyers]
    host.post(f"live/lots/{lot['id']}/drop")
    say("live", f"the host drops {PIECES} pieces at ¥99.00; {BUYERS} buyers are waiting")
    gate = Barrier(BUYERS)

    def claim(n: int) -> str:
        gate.wait()
        try:
            body = {"quantity": 1, "address_id": homes[n]}
            ticket = buyers[n].post(f"live/lots/{lot['id']}/claims", body)["ticket"]
        except Refused as refused:
            return refused.code
        final = wait_for(
            f"ticket {ticket}",
            lambda: buyers[n].get(f"live/claims/{ticket}"),
            lambda answer: answer["status"] != "QUEUED",
        )
        return str(final["status"])

    with ThreadPoolExecutor(BUYERS) as pool:
        endings = Counter(pool.map(claim, range(BUYERS)))
    assert endings["ORDERED"] == PIECES, endings
    refused = {code: n for code, n in endings.items() if code != "ORDERED"}
    say("sold out", f"exactly {endings['ORDERED']} got one; {refused}")
