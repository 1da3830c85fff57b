"""Every periodic job on one page.  Each is bounded, safe to run twice and on two machines.

`expires` keeps a slow worker from piling up ticks: a missed tick is caught by the next one.
"""

from typing import Any

from celery.schedules import crontab, schedule


def every(seconds: float, task: str) -> dict[str, Any]:
    return {"task": task, "schedule": schedule(seconds), "options": {"expires": seconds}}


def nightly(hour: int, minute: int, task: str) -> dict[str, Any]:
    """Asia/Shanghai."""
    return {"task": task, "schedule": crontab(hour=hour, minute=minute)}


def from_ten(task: str) -> dict[str, Any]:
    """Every hour of the day from ten in the morning, Asia/Shanghai."""
    return {"task": task, "schedule": crontab(hour="10-23", minute=5), "options": {"expires": 3600}}


SCHEDULE: dict[str, dict[str, Any]] = {
    "heartbeat of the worker": every(10, "config.kit.tasks.beat"),
    "forget old idempotency keys": nightly(4, 10, "config.kit.tasks.forget_old_keys"),
    "compare every account with the bank": nightly(4, 0, "payments.closing.tasks.close_days"),
    "compare statements that came in": every(60, "payments.closing.tasks.close_imported"),
    "audit of the books": nightly(4, 30, "payments.ledger.tasks.audit"),
    "send money back": every(30, "payments.cashier.tasks.send_refunds"),
    "close what is paid elsewhere": every(60, "payments.cashier.tasks.close_paid_elsewhere"),
    "send lines back": every(30, "payments.transfers.tasks.send_returns"),
    "pay merchants out": every(30, "payments.payouts.tasks.send_payouts"),
    "pay all merchants": nightly(9, 0, "payments.payouts.tasks.pay_all"),
    "payouts by file in statements": every(60, "payments.payouts.tasks.find_bookings"),
    "debts of merchants": every(60, "payments.payouts.tasks.square_debts"),
    "reversals find their originals": every(30, "payments.transfers.tasks.settle_reversals"),
    "one booking under two names": every(30, "payments.transfers.tasks.look_again"),
    "import statements left behind": every(30, "payments.transfers.tasks.import_waiting"),
    "fetch yesterday's statements": every(3600, "payments.transfers.tasks.pull_statements"),
    "keep virtual accounts in store": every(60, "payments.receiving.tasks.fill_pool"),
    "rest and free virtual accounts": every(60, "payments.receiving.tasks.go_round"),
    "take reference codes back": every(3600, "payments.receiving.tasks.take_codes_back"),
    "limits of virtual accounts": every(30, "payments.receiving.tasks.tell_limits"),
    "platform certificates, mornings": nightly(
        5, 20, "payments.wechat_pay.tasks.renew_certificates"
    ),
    "platform certificates, evenings": nightly(
        17, 20, "payments.wechat_pay.tasks.renew_certificates"
    ),
    "ask after trades of WeChat Pay": every(10, "payments.wechat_pay.tasks.ask_open"),
    "fetch the bills of payment channels": from_ten("payments.bills.tasks.fetch_bills"),
    "tell the carrier": every(10, "payments.carrier.tasks.tell_carrier"),
    "compare every sub-account with the carrier": from_ten("payments.carrier.tasks.compare_days"),
    "ask after trades of Alipay": every(10, "payments.alipay.tasks.ask_open"),
    "suspend guarantees by rule": every(600, "members.guarantee.tasks.suspend_by_rule"),
    "close unpaid top-ups": every(60, "payments.wallet.tasks.expire_top_ups"),
    "send withdrawals": every(10, "payments.wallet.tasks.send_withdrawals"),
    "close unpaid orders": every(20, "shop.orders.tasks.expire_unpaid"),
    "receive by itself": every(60, "shop.fulfilment.tasks.receive_overdue"),
    "report shipping to WeChat": every(10, "shop.wechat_shipping.tasks.report"),
    "compare shipping with WeChat": every(300, "shop.wechat_shipping.tasks.compare"),
    "alarm before WeChat's deadline": every(300, "shop.wechat_shipping.tasks.alert"),
    "is WeChat managing our trades": nightly(9, 0, "shop.wechat_shipping.tasks.check_managed"),
    "finish orders": every(20, "shop.orders.tasks.finish_received"),
    "orders from admitted claims": every(5, "livestream.tasks.write_claims"),
    "close lots that are over": every(20, "livestream.tasks.close_overdue"),
}
