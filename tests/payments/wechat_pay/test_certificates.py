"""Platform certificates are renewed by what is proven already, and old ones stay until they end."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.utils.timezone import now

from payments.channels import wechat
from payments.channels.answers import BadNotice, ChannelRefused, ChannelSilent
from payments.channels.wechat_keys import Keys, described
from payments.ledger import services as ledger
from payments.wechat_pay import certificates, queries, tasks
from payments.wechat_pay.models import PlatformCertificate
from tests.payments.wechat_pay.test_verifier import NOW, body, certified, signed
from tests.sandbox.wechat_pay import keys as theirs_at_home

pytestmark = pytest.mark.django_db
PATH = "/v3/certificates"


@pytest.fixture
def old(scene, settings):
    """A merchant who holds the platform's certificate only."""
    scene.sandbox.control("wechat-pay/regime", regime="certificate")
    settings.WECHAT_PAY = scene.told(public_key=False) | {
        "transfers": {
            "scene": "1000",
            "reports": [{"info_type": "活动名称", "info_content": "余额提现"}],
        }
    }
    return scene


def rotate(scene, **how):
    return str(scene.sandbox.control("wechat-pay/rotate", **how)["serial"])


def kept():
    return set(PlatformCertificate.objects.values_list("serial", flat=True))


def test_a_new_one_is_kept_before_it_signs(old):
    home = described(old.told()["certificates"][0]).serial
    serial = rotate(old)

    assert set(certificates.renew(at=now())) == kept() == {home, serial}
    assert certificates.renew(at=now()) == []


def test_one_that_nobody_told_us_of_proves_nothing(old):
    """The control of what follows."""
    serial = rotate(old)
    retire(old, serial)

    with pytest.raises(ChannelSilent):
        old.opened()


def test_what_is_signed_with_a_renewed_one_is_believed_by_processes_that_run_already(old):
    first = old.opened()  # the client of this process is made
    serial = rotate(old)
    certificates.renew(at=now())
    retire(old, serial)

    second = old.opened()
    for payment in (first, second):
        old.pay(payment)
        assert old.deliver() == [204]
        payment.refresh_from_db()
        assert payment.status == "CONFIRMED"


def retire(scene, serial):
    """From now on this one signs, and the others do not."""
    scene.sandbox.control("wechat-pay/retire", serial=serial)


def test_a_name_is_sealed_with_the_newest(old):
    serial = rotate(old)
    certificates.renew(at=now())
    retire(old, serial)
    old.opened()  # an answer names it

    said = wechat.wechat_pay().transfer(
        out_bill_no="NAMED1", fen=200_000, openid="o" * 28, name="王小明", remark="提现"
    )

    assert said.out_bill_no == "NAMED1"


@pytest.mark.parametrize("flaw", ["sealed", "serial"])
def test_one_that_is_not_what_it_is_called_spoils_the_whole_answer(old, flaw):
    rotate(old)
    rotate(old, flaw=flaw)

    with pytest.raises(ChannelSilent):
        certificates.renew(at=now())

    assert kept() == set()


@pytest.mark.parametrize("flaw", ["bad_signature", "signtest", "old_timestamp", "other_key"])
def test_nothing_is_kept_from_an_unproven_answer(old, flaw):
    rotate(old)
    old.switch(f"answer_{flaw}", on=PATH)

    with pytest.raises(ChannelSilent):
        certificates.renew(at=now())
    assert kept() == set()

    assert len(certificates.renew(at=now())) == 2


def test_one_that_has_ended_is_not_kept(old):
    serial = rotate(old, days=-1)

    certificates.renew(at=now())

    assert serial not in kept()


def test_only_where_certificates_are_in_use(scene, settings):
    settings.WECHAT_PAY = scene.told(certificates=False)

    tasks.renew_certificates()

    assert scene.sandbox.journal(PATH) == []


def test_where_there_are_none_any_more_the_job_says_so(scene, settings, caplog):
    settings.WECHAT_PAY = scene.told()
    scene.sandbox.control("wechat-pay/regime", regime="public_key_only")

    with pytest.raises(ChannelRefused):
        certificates.renew(at=now())
    tasks.renew_certificates()

    assert "could not be renewed" in caplog.text


def test_an_old_one_is_believed_until_it_ends():
    key = rsa.generate_private_key(65537, 2048)
    held = Keys([certified(key, 0xA1)], {})
    said = body()

    held.check(signed({"A1": key}, said, "A1"), said, NOW.timestamp())
    after = datetime(2031, 1, 2, tzinfo=UTC)
    with pytest.raises(BadNotice):
        held.check(signed({"A1": key}, said, "A1", at=after), said, after.timestamp())


def test_strangers_do_not_make_us_look_for_every_name_that_they_invent():
    key, looked = rsa.generate_private_key(65537, 2048), []

    def learn():
        looked.append(1)
        return [certified(key, 0xB2)]

    held = Keys([certified(key, 0xA1)], {}, learn)
    said = body()
    for _ in range(5):
        with pytest.raises(BadNotice):
            held.check(signed({"C3": key}, said, "C3"), said, NOW.timestamp())
    assert looked == [1]

    held.check(signed({"B2": key}, said, "B2"), said, NOW.timestamp())  # learnt on the way


def test_the_audit_says_when_the_last_one_ends_and_there_is_no_other(old, settings):
    key = rsa.generate_private_key(65537, 2048)
    ends = now() + timedelta(days=3)
    pem = theirs_at_home.certified(key, "Tenpay.com sign (sandbox)", ends)
    pem = pem.public_bytes(serialization.Encoding.PEM).decode()
    whole = settings.WECHAT_PAY
    settings.WECHAT_PAY = whole | {"certificates": [pem]}

    assert ["还没有取得新证书" in finding for finding in queries.findings()] == [True]
    settings.WECHAT_PAY = whole | {"certificates": [pem, *whole["certificates"]]}
    assert ledger.audit() == []


def test_a_start_long_after_the_file_has_expired_goes_on_with_what_was_renewed(old, settings):
    certificates.renew(at=now())
    gone = theirs_at_home.certified(
        rsa.generate_private_key(65537, 2048), "Tenpay.com", now() - timedelta(days=1)
    )
    pem = gone.public_bytes(serialization.Encoding.PEM).decode()
    settings.WECHAT_PAY = settings.WECHAT_PAY | {"certificates": [pem]}

    payment = old.opened()

    old.pay(payment)
    assert old.deliver() == [204]
