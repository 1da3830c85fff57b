"""The admin's menu: what this person may look at, and how much of it waits for them."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from config import dashboard
from payments.overview import pages

# Title, icon, admin page; a fourth word names what waits there (`dashboard.waiting`).
Item = tuple[str, str, str] | tuple[str, str, str, str]
MENU: list[tuple[str, list[Item]]] = [
    (
        "交易",
        [
            ("订单", "receipt_long", "shop_order_changelist", "to_ship"),
            ("发货单", "local_shipping", "shop_shipment_changelist"),
            ("微信发货信息", "outbound", "shop_shippingreport_changelist"),
            ("微信推送", "notifications", "shop_wechatpush_changelist"),
            ("商品", "inventory_2", "shop_product_changelist"),
            ("规格与库存", "category", "shop_sku_changelist"),
            ("活动价", "sell", "shop_offer_changelist"),
            ("类目", "account_tree", "shop_category_changelist"),
            ("担保明细", "lock_clock", "shop_heldline_changelist"),
            ("担保商家", "verified_user", "members_guarantee_changelist"),
            ("担保条件", "checklist", "members_guaranteecriterion_changelist"),
        ],
    ),
    (
        "直播",
        [
            ("直播场次", "live_tv", "livestream_session_changelist"),
            ("直播商品", "bolt", "livestream_lot_changelist"),
            ("抢购记录", "confirmation_number", "livestream_claim_changelist"),
        ],
    ),
    (
        "资金",
        [
            ("资金总览", "monitoring", "finance_overview"),
            ("待处理流水", "inbox", "payments_statementline_queue", "lines"),
            ("待复核退回", "rule", "payments_linereturn_checks", "returns"),
            ("银行流水", "upload_file", "payments_statement_changelist"),
            ("银行来账", "account_balance", "payments_statementline_changelist"),
            ("每日对账", "balance", "payments_dayclose_changelist"),
            ("渠道对账", "compare_arrows", "payments_channelday_changelist"),
            ("渠道差异", "difference", "payments_channeldifference_changelist", "differences"),
            ("存管报送", "account_balance", "payments_carrierbatch_changelist", "carrier"),
            ("存管子账户", "savings", "payments_carrieraccount_changelist"),
            ("存管动账", "swap_horiz", "payments_carriermove_changelist"),
            ("来账退回", "undo", "payments_linereturn_changelist"),
            ("网银退款", "assured_workload", "payments_byhand_changelist", "by_hand"),
            ("支付单", "payments", "payments_payment_changelist"),
            ("到账记录", "receipt", "payments_receipt_changelist"),
            ("退款单", "currency_exchange", "payments_refund_changelist", "refunds"),
            ("商家付款", "send_money", "payments_payout_changelist", "payouts"),
            ("商家收款人", "badge", "payments_payee_changelist", "payees"),
            ("批量付款文件", "table", "payments_payoutfile_changelist"),
            ("保证金", "shield", "payments_depositmove_changelist", "deposits"),
            ("保证金缴纳", "payments", "payments_depositpayment_changelist"),
            ("保证金标准", "rule", "payments_depositrule_changelist"),
            ("微信支付交易", "chat", "payments_wechattrade_changelist"),
            ("微信退款", "undo", "payments_wechatrefund_changelist"),
            ("微信支付通知", "notifications", "payments_wechatnotice_changelist"),
            ("支付宝交易", "qr_code_scanner", "payments_alipaytrade_changelist"),
            ("支付宝通知", "notifications_active", "payments_alipaynotice_changelist"),
            ("用户钱包", "account_balance_wallet", "payments_wallet_changelist"),
            ("钱包充值", "add_card", "payments_topup_changelist"),
            ("钱包提现", "outbound", "payments_withdrawal_changelist", "withdrawals"),
            ("礼品卡", "redeem", "payments_giftcard_changelist"),
            ("转账指引", "signpost", "payments_transferintent_changelist"),
            ("收款账户", "credit_card", "payments_receivingaccount_changelist"),
            ("专属账号", "tag", "payments_virtualaccount_changelist"),
            ("银行工作日", "event", "payments_bankday_changelist"),
            ("核销策略", "rule_settings", "payments_policy_changelist"),
            ("平台费率", "percent", "payments_feerate_changelist"),
            ("收银台规则", "point_of_sale", "payments_methodrule_changelist"),
        ],
    ),
    (
        "账簿",
        [
            ("账户", "savings", "payments_account_changelist"),
            ("记账凭证", "menu_book", "payments_posting_changelist"),
            ("分录", "list_alt", "payments_entry_changelist"),
        ],
    ),
    (
        "会员与导购",
        [
            ("会员", "group", "members_membership_changelist", "applicants"),
            ("会员等级", "military_tech", "members_level_changelist"),
            ("动态", "campaign", "members_post_changelist"),
            ("导购", "support_agent", "members_guide_changelist"),
            ("佣金", "percent", "members_commission_changelist"),
            ("客户归属", "handshake", "members_customerbond_changelist"),
            ("归属记录", "history", "members_bondevent_changelist"),
            ("分享码", "qr_code_2", "members_sharecode_changelist"),
        ],
    ),
    (
        "设置",
        [
            ("商家", "store", "members_merchant_changelist"),
            ("用户", "person", "members_user_changelist"),
            ("登录锁定", "lock", "axes_accessattempt_changelist"),
        ],
    ),
]

# Pages beside those of the admin's models, and who may look at them.
OF_NO_MODEL: dict[str, Callable[[HttpRequest], bool]] = {"finance_overview": pages.may_look}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """For unfold, once a page: groups without a page that this person may see are left out."""
    may_see = _pages(request)
    waiting = dashboard.waiting(request)
    groups = [
        {"title": title, "collapsible": title == "账簿", "items": _items(items, may_see, waiting)}
        for title, items in MENU
    ]
    home = {"title": "首页", "icon": "dashboard", "link": reverse("admin:index")}
    return [{"items": [home]}, *(group for group in groups if group["items"])]


def _pages(request: HttpRequest) -> set[str]:
    """`app_model` of all that may be looked at, and pages that are of no model."""
    tables = {
        f"{model._meta.app_label}_{model._meta.model_name}"
        for model, page in admin.site._registry.items()
        if page.has_view_permission(request)
    }
    return tables | {name.rpartition("_")[0] for name, may in OF_NO_MODEL.items() if may(request)}


def _items(items: list[Item], may_see: set[str], waiting: dict[str, int]) -> list[dict[str, Any]]:
    shown = []
    for title, icon, page, *what in items:
        if page.rpartition("_")[0] in may_see:
            item = {"title": title, "icon": icon, "link": _address(page)}
            if what and (count := waiting.get(what[0], 0)):
                item["badge"] = str(count) if count < 1000 else "999+"
            shown.append(item)
    return shown


def _address(page: str) -> str:
    return reverse(page if page in OF_NO_MODEL else f"admin:{page}")
