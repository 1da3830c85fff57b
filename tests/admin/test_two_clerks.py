"""Two clerks at one line: the second is told, and loses nothing that was typed."""

import pytest
from django.utils.timezone import now

from payments.transfers import desk
from tests.admin.pages import fingerprint, fresh
from tests.admin.test_workbench import QUEUE, decide

pytestmark = pytest.mark.django_db


def test_the_second_clerk_is_told_and_loses_nothing_that_was_typed(clerk, first, lost):
    shown = clerk.get(QUEUE, {"line": lost.number, "act": "ignore"})
    seen = shown.context["detail"]["question"]["seen"].value()
    colleague = first.people["OWNER"]
    desk.ignore(line=fresh(lost), reason="同事先处理", actor=colleague.number, at=now())
    before = fingerprint()

    page = decide(clerk, lost, "ignore", {"reason": "我写的很长的理由", "seen": seen})
    text = page.content.decode()

    assert "标记为不处理（同事先处理），请刷新" in text
    assert colleague.nickname in text
    assert "我写的很长的理由" in text
    assert "查看这笔来账现在的状态" in text
    assert "同事先处理" in text
    assert fingerprint() == before


def test_the_services_own_refusal_is_shown_too(clerk, first, lost):
    """Without the hidden field, as if the colleague came between the check and the service."""
    colleague = first.people["OWNER"]
    desk.ignore(line=fresh(lost), reason="同事先处理", actor=colleague.number, at=now())
    before = fingerprint()

    page = decide(clerk, lost, "split", {"number_1": "PX", "fen_1": "77.00", "reason": "我的说明"})

    assert "我的说明" in page.content.decode()
    assert "wb-note-bad" in page.content.decode()
    assert fingerprint() == before
