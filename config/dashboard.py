"""The admin's first page: what happened today, and what waits for the one who looks."""

import json
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum, Value
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.urls import reverse
from django.utils.timezone import get_default_timezone, localtime, make_aware, now

from config.kit.admin import tenants_of
from config.kit.columns import in_yuan
from members.memberships.models import Membership
from members.memberships.rules import Status as MemberStatus
from payments.bills import queries as bills
from payments.carrier import queries as carriers
from payments.carrier.protocol import UNLICENSED, is_on
from payments.cashier.models import Refund
from payments.cashier.rules import RefundStatus
from payments.deposits.models import DepositMove
from payments.deposits.rules import Status as MoveStatus
from payments.payouts.models import Payee, Payout
from payments.payouts.rules import PayeeStatus
from payments.payouts.rules import Status as PayoutStatus
from payments.receiving.models import ReceivingAccount, TransferIntent
from payments.receiving.rules import CODES, CODES_HALF_USED
from payments.transfers import backlog
from payments.transfers.models import LineReturn, StatementLine
from payments.transfers.models_by_hand import ByHand
from payments.transfers.rules import OPEN, HandStatus, ReturnStatus
from payments.wallet.models import Withdrawal
from payments.wallet.rules import WithdrawalStatus
from shop.orders.models import Order
from shop.orders.queries import PAID
from shop.orders.rules import Status
from shop.wechat_shipping import queries as shipping
from shop.wechat_shipping.models import ShippingReport

DAYS = 14
TO_DECIDE = [RefundStatus.OWED, RefundStatus.FAILED]


def waiting(request: HttpRequest) -> dict[str, int]:
    """How much waits, by name; only what this person may see.  Asked once a request."""
    if not hasattr(request, "_siyu_waiting"):
        request._siyu_waiting = _waiting(request)  # type: ignore[attr-defined]
    found: dict[str, int] = request._siyu_waiting  # type: ignore[attr-defined]
    return found


def _waiting(request: HttpRequest) -> dict[str, int]:
    rows: dict[str, QuerySet[Any]] = {}
    if (staff := _of(request, "STAFF", "merchant__number")) is not None:
        rows["to_ship"] = Order.objects.filter(staff, status=Status.PAID)
        rows["frozen"] = Order.objects.frozen().filter(staff)
        rows["applicants"] = Membership.objects.filter(staff, status=MemberStatus.PENDING)
    if (finance := _of(request, "FINANCE", "payment__merchant")) is not None:
        rows["refunds"] = Refund.objects.filter(finance, status__in=TO_DECIDE)
        rows["said_paid"] = TransferIntent.objects.said_paid(now()).filter(finance)
    if (finance := _of(request, "FINANCE", "receiving_account__merchant")) is not None:
        rows["lines"] = StatementLine.objects.filter(finance, verdict__in=OPEN)
        rows["unclaimed"] = rows["lines"].filter(backlog.aged(backlog.Age.UNCLAIMED, now()))
    if (finance := _of(request, "FINANCE", "line__receiving_account__merchant")) is not None:
        asked = LineReturn.objects.filter(finance, status=ReturnStatus.ASKED)
        rows["returns"] = asked.filter(by_hand=None)
    if (finance := _of(request, "FINANCE", "booking__receiving_account__merchant")) is not None:
        rows["by_hand"] = ByHand.objects.filter(finance, status=HandStatus.ASKED)
    if (finance := _of(request, "FINANCE", "merchant")) is not None:
        rows["payouts"] = Payout.objects.filter(finance, status=PayoutStatus.ASKED)
        rows["payees"] = Payee.objects.filter(finance, status=PayeeStatus.ASKED)
        rows["deposits"] = DepositMove.objects.filter(finance, status=MoveStatus.ASKED)
    if tenants_of(request, "FINANCE") is None:
        rows["differences"] = bills.open_differences()
        rows["carrier"] = carriers.stuck(now())
        rows["withdrawals"] = Withdrawal.objects.filter(status=WithdrawalStatus.CHECKING)
    return _counted(rows)


def _counted(rows: Mapping[str, QuerySet[Any]]) -> dict[str, int]:
    """By name; one query, however many there are: every page of the admin asks it."""
    counts = [
        some.order_by().values(what=Value(name)).annotate(n=Count("pk")).values_list("what", "n")
        for name, some in rows.items()
    ]
    found = dict(counts[0].union(*counts[1:], all=True)) if counts else {}
    return {name: found.get(name, 0) for name in rows}


def _of(request: HttpRequest, role: str, path: str) -> Q | None:
    """Rows of one's own; None where this person has no business."""
    tenants = tenants_of(request, role)
    if tenants is None:
        return Q()
    return Q(**{f"{path}__in": tenants}) if tenants else None


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """unfold's DASHBOARD_CALLBACK: adds what `admin/index.html` shows."""
    at = now()
    counts = waiting(request)
    today = make_aware(datetime.combine(localtime(at).date(), time.min))
    mine = _of(request, "STAFF", "merchant__number")
    context["cards"] = []
    if mine is not None:
        sums = _by_day(Order.objects.filter(mine, status__in=PAID), today)
        fen, count = sums.get(localtime(at).date(), (0, 0))
        context["chart"] = _chart(sums, localtime(at).date())
        context["cards"] += [
            {
                "title": "今日已付金额",
                "value": in_yuan(fen),
                "note": f"{count} 单",
                "icon": "payments",
                "href": reverse("admin:shop_order_changelist"),
            },
            {
                "title": "待发货",
                "value": counts["to_ship"],
                "note": "已付款的订单",
                "icon": "local_shipping",
                "href": reverse("admin:shop_order_changelist") + "?status__exact=PAID",
            },
        ]
    if counts.get("frozen"):
        context["cards"].append(
            {
                "title": "冻结订单",
                "value": counts["frozen"],
                "note": "付款或已退的原款被银行冲正，等待处理",
                "icon": "lock",
                "href": reverse("admin:shop_order_changelist") + "?frozen_at__isnull=False",
            }
        )
    context["cards"] += _shipping(request, at)
    if "lines" in counts:
        context["ages"] = ages = _ages(request, at)
        context["cards"] += [
            {
                "title": "待处理流水",
                "value": counts["lines"],
                "note": f"其中三天以上 {ages[-1][1]} 笔",
                "icon": "inbox",
                "href": reverse("admin:payments_statementline_queue"),
            },
            {
                "title": backlog.Age.UNCLAIMED.label,
                "value": counts["unclaimed"],
                "note": "无人认领的来账，请原路退回",
                "icon": "hourglass_bottom",
                "href": reverse("admin:payments_statementline_queue") + "?age=75%2B",
            },
            {
                "title": "待审退款",
                "value": counts["refunds"],
                "note": "待处理与退回失败",
                "icon": "currency_exchange",
                "href": reverse("admin:payments_refund_changelist")
                + f"?status__in={','.join(TO_DECIDE)}",
            },
        ]
    if counts.get("said_paid"):
        context["cards"].append(
            {
                "title": "买家称已转账，未见来账",
                "value": counts["said_paid"],
                "note": "银行不推送、不能取流水的账户，请上传当天的流水",
                "icon": "hourglass_top",
                "href": reverse("admin:payments_transferintent_changelist") + "?said_paid=1",
            }
        )
    context["cards"] += _bills(counts, at)
    context["cards"] += _carrier(counts)
    context["cards"] += _codes(request)
    return context


def _bills(counts: dict[str, int], at: datetime) -> list[dict[str, Any]]:
    """Where payment channels say otherwise than we, and days of which they have not said it."""
    cards = []
    if differences := counts.get("differences"):
        cards.append(
            {
                "title": "渠道差异",
                "value": differences,
                "note": "支付渠道的账单与本店记录不符，等待处理",
                "icon": "difference",
                "href": reverse("admin:payments_channeldifference_changelist")
                + "?closed_at__isempty=1",
            }
        )
    if "differences" in counts and (days := bills.late_days(at)):
        cards.append(
            {
                "title": "渠道账单未取到",
                "value": days,
                "note": "天，原因见渠道对账；系统每小时再取",
                "icon": "cloud_off",
                "href": reverse("admin:payments_channelday_changelist") + "?status__exact=WAITING",
            }
        )
    return cards


def _carrier(counts: dict[str, int]) -> list[dict[str, Any]]:
    """Where other people's money lies with nobody who may hold it, or he does not take our word."""
    if "carrier" not in counts:
        return []
    card = {
        "icon": "account_balance",
        "href": reverse("admin:payments_carrierbatch_changelist") + "?status__exact=SENDING",
    }
    if not is_on():
        return [{"title": "资金存管", "value": "未接入", "note": UNLICENSED, **card}]
    if counts["carrier"]:
        note = "存管机构没有入账，其后的报送都在等待"
        return [{"title": "存管报送受阻", "value": counts["carrier"], "note": note, **card}]
    return []


def _shipping(request: HttpRequest, at: datetime) -> list[dict[str, Any]]:
    """What WeChat has to be told of orders, only while there is something to do."""
    mine = _of(request, "STAFF", "trade__payment__merchant")
    if mine is None:
        return []
    reports = ShippingReport.objects.filter(mine)
    counts = {
        "late": reports.late(at + shipping.ahead()).count(),
        "to_report": shipping.for_a_person(reports).count(),
    }
    page = reverse("admin:shop_shippingreport_changelist")
    cards = [
        ("late", "微信发货将逾期", "微信付款后 48 小时内须上报发货信息", "alarm",
         f"{page}?status__in=WAITING,FAILED"),
        ("to_report", "微信发货待处理", "上报被拒，或与微信登记的不一致", "sync_problem",
         f"{page}?for_a_person=1"),
    ]  # fmt: skip
    return [
        {"title": title, "value": counts[name], "note": note, "icon": icon, "href": href}
        for name, title, note, icon, href in cards
        if counts.get(name)
    ]


def _codes(request: HttpRequest) -> list[dict[str, Any]]:
    """Accounts that have given half of their reference codes away."""
    mine = _of(request, "FINANCE", "merchant")
    if mine is None:
        return []
    short = ReceivingAccount.objects.filter(mine, codes_in_use__gte=CODES_HALF_USED)
    return [
        {
            "title": "核对码已用过半",
            "value": f"{account.codes_in_use * 100 // CODES}%",
            "note": f"账户 {account.account_no}：请增开收款账户或专属账号",
            "icon": "pin",
            "href": reverse("admin:payments_receivingaccount_change", args=[account.pk]),
        }
        for account in short.order_by("-codes_in_use", "pk")[:4]
    ]


def _by_day(orders: Any, today: datetime) -> dict[Any, tuple[int, int]]:
    """Fen and number of orders by the day in Shanghai on which they were paid."""
    rows = (
        orders.filter(paid_at__gte=today - timedelta(days=DAYS - 1))
        .annotate(day=TruncDate("paid_at", tzinfo=get_default_timezone()))
        .values("day")
        .annotate(fen=Sum("total_fen"), count=Count("pk"))
        .order_by("day")
    )
    return {row["day"]: (int(row["fen"]), row["count"]) for row in rows}


def _ages(request: HttpRequest, at: datetime) -> list[tuple[str, int]]:
    mine = _of(request, "FINANCE", "receiving_account__merchant") or Q()
    lines = StatementLine.objects.filter(mine, verdict__in=OPEN)
    one, three = at - timedelta(days=1), at - timedelta(days=3)
    found = lines.aggregate(
        today=Count("pk", filter=Q(booked_at__gt=one)),
        recent=Count("pk", filter=Q(booked_at__lte=one, booked_at__gt=three)),
        old=Count("pk", filter=Q(booked_at__lte=three)),
    )
    names = {"today": "一天以内", "recent": "一至三天", "old": "三天以上"}
    return [(title, found[name]) for name, title in names.items()]


def _chart(sums: dict[Any, tuple[int, int]], today: Any) -> str:
    """Chart.js data: yuan a day, as JSON (a chart is the one place where yuan are floats)."""
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    return json.dumps(
        {
            "labels": [f"{day:%m-%d}" for day in days],
            "datasets": [
                {
                    "label": "已付金额（元）",
                    "type": "line",
                    "data": [sums.get(day, (0, 0))[0] / 100 for day in days],
                    "borderColor": "var(--color-primary-500)",
                    "backgroundColor": "var(--color-primary-500)",
                    "pointStyle": "circle",
                    "pointRadius": 3,
                    "displayYAxis": True,
                    "maxTicksXLimit": 7,
                }
            ],
        },
        ensure_ascii=False,
    )
