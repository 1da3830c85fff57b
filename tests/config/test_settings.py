"""A start with wrong settings ends with one clear line; production is strict."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def production(tmp_path_factory):
    """A sound production environment; nothing listens at its addresses."""
    home = tmp_path_factory.mktemp("production")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "SIYU_ENV": "production",
        "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_",
        "ALLOWED_HOSTS": "shop.example.com",
        "DATABASE_URL": "postgresql://siyu@127.0.0.1:9/siyu",
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "WECHAT_APPID": "wx0123456789abcdef",
        "WECHAT_SECRET": "0123456789abcdef0123456789abcdef",
    }


def manage(env, *args):
    return subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_production_is_clean_by_djangos_own_check(production):
    """But for a word on whose money it is, until a licensed carrier holds it."""
    run = manage(production, "check", "--deploy", "--fail-level", "WARNING")

    assert run.returncode == 0, run.stderr
    assert "System check identified 1 issue" in run.stderr
    assert "payments.I001) 未接入持牌资金存管机构" in run.stderr

    ours = production | {"CARRIER": "payments.carrier.signed.carrier"}
    run = manage(ours, "check", "--deploy", "--fail-level", "WARNING")

    assert run.returncode == 0, run.stderr
    assert "no issues" in run.stdout


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SECRET_KEY", None, "SECRET_KEY is not set"),
        ("SECRET_KEY", "short", "SECRET_KEY is shorter than 50"),
        ("ALLOWED_HOSTS", None, "ALLOWED_HOSTS is not set"),
        ("WECHAT_APPID", None, "WECHAT_APPID is not set"),
        ("WECHAT_SECRET", "", "WECHAT_SECRET is not set"),
        ("WECHAT_API_BASE_URL", "http://127.0.0.1:9000", "must not be set in production"),
        ("SIYU_ENV", "staging", "must be production, demo or test"),
        ("PROXY_COUNT", "two", "PROXY_COUNT must be a whole number"),
        ("BANKS", "cmb", "BANK_CMB_URL is not set"),
        ("ALIPAY_APP_ID", "2021000000000001", "ALIPAY_SELLER_ID is not set"),
        ("WECHAT_PUSH_TOKEN", "token", "WECHAT_PUSH_KEY is not set"),
    ],
)
def test_a_wrong_variable_stops_the_start_with_one_clear_line(production, name, value, said):
    env = {key: kept for key, kept in production.items() if key != name}
    run = manage(env if value is None else env | {name: value}, "check")

    assert run.returncode != 0
    assert said in run.stderr.strip().splitlines()[-1]
    assert "Traceback" not in run.stderr


def test_another_gateway_of_alipay_s_is_refused_in_production(production, tmp_path):
    pem = tmp_path / "key.pem"
    pem.write_text("-----BEGIN PUBLIC KEY-----")
    alipay = {
        "ALIPAY_APP_ID": "2021000000000001",
        "ALIPAY_SELLER_ID": "2088000000000001",
        "ALIPAY_PRIVATE_KEY": str(pem),
        "ALIPAY_PUBLIC_KEY": str(pem),
    }
    assert manage(production | alipay, "check").returncode == 0

    sandbox = {"ALIPAY_URL": "http://127.0.0.1:9/alipay/gateway.do"}
    run = manage(production | alipay | sandbox, "check")

    assert run.returncode != 0
    assert "ALIPAY_URL must not be set in production" in run.stderr


def test_the_carrier_is_neither_the_sandbox_nor_nobody(production):
    run = manage(production | {"CARRIER": "sandbox"}, "check")
    assert "CARRIER must not be the sandbox in production" in run.stderr

    run = manage(production | {"CARRIER": "ours.pingan.carrier"}, "check")
    assert run.returncode != 0
    assert "payments.E002) CARRIER: No module named 'ours'" in run.stderr


def test_the_sandbox_is_refused_in_production(production, tmp_path):
    pem = tmp_path / "key.pem"
    pem.write_text("-----BEGIN PUBLIC KEY-----")
    bank = {
        "BANKS": "sandbox",
        "BANK_SANDBOX_URL": "http://127.0.0.1:9",
        "BANK_SANDBOX_PUBLIC_KEY": str(pem),
        "BANK_SANDBOX_PRIVATE_KEY": str(pem),
    }
    run = manage(production | bank, "check")

    assert run.returncode != 0
    assert "BANKS must not name the sandbox in production" in run.stderr
