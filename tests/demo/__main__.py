"""python -m tests.demo: the whole shop on this machine, with its first sale, until Ctrl-C.

PORT (8000) is the web's; the two ports after it are the room's and the sandbox's.  DATABASE_URL and
REDIS_URL are used where they are set, else engines of this clone are started.  SIYU_DATA (.data)
is the folder of everything the demo keeps: two demos with folders and ports of their own never
meet.
"""

import hashlib
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from config import embedded
from config.processes import Process, ProcessError, Supervisor, require_free
from tests.sandbox import keys
from tests.sandbox.alipay import signing as alipay_keys
from tests.sandbox.alipay import wire as alipay_wire
from tests.sandbox.wechat import APPID, SECRET
from tests.sandbox.wechat_pay import keys as wechat_pay_keys

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("SIYU_DATA", ROOT / ".data")).resolve()
HOME = DATA / "demo"
SANDBOX = DATA / "sandbox"
FACTS = DATA / "demo.json"
# A demo database is made anew when one of these has changed.
MAKERS = ["*/migrations/*.py", "config/kit/migrations/*.py", "tests/demo/seed.py"]


class Ports:
    def __init__(self) -> None:
        given = os.environ.get("PORT", "8000")
        if not given.isdecimal() or not 1 <= int(given) <= 65533:
            raise ProcessError(f"PORT must be a number from 1 to 65533, not {given!r}")
        self.web, self.live, self.sandbox = (int(given) + n for n in range(3))
        require_free([self.web, self.live, self.sandbox])
        self.base_url = f"http://127.0.0.1:{self.web}"
        self.ws_url = f"ws://127.0.0.1:{self.live}"
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox}"


def main() -> int:
    try:
        ports = Ports()
    except ProcessError as error:
        sys.exit(f"siyu: {error}")
    HOME.mkdir(parents=True, exist_ok=True)
    FACTS.unlink(missing_ok=True)
    set_environment(ports)
    step("engines")
    is_ours = not os.environ.get("DATABASE_URL")
    embedded.ensure(DATA)
    import django

    import config.celery  # noqa: F401  nudges of this process go through it

    django.setup()
    facts = prepare(is_ours=is_ours)
    supervisor = Supervisor(
        processes(ports),
        logs=DATA / "log",
        quiet=True,
        stop_order=["beat", "worker", "web", "live", "sandbox"],
    )
    step("web, room, worker, beat, sandbox")
    return supervisor.run(then=lambda: open_shop(ports, facts))


def step(text: str) -> None:
    print(f"siyu: {text} …", flush=True)


def set_environment(ports: Ports) -> None:
    pair, pay = keys.ensure(SANDBOX), wechat_pay_keys.ensure(SANDBOX)
    alipay = alipay_keys.ensure(SANDBOX)
    os.environ |= {
        "SIYU_ENV": "demo",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": secret(),
        "PUBLIC_URL": ports.base_url,
        "STATIC_ROOT": str(DATA / "static"),
        "LIVE_URL": ports.ws_url,
        "WECHAT_APPID": APPID,
        "WECHAT_SECRET": SECRET,
        "WECHAT_API_BASE_URL": ports.sandbox_url,
        "WECHAT_PAY_MCHID": wechat_pay_keys.MCHID,
        "WECHAT_PAY_URL": ports.sandbox_url,
        "WECHAT_PAY_CERTIFICATE": str(pay.merchant_cert),
        "WECHAT_PAY_PRIVATE_KEY": str(pay.merchant_private),
        "WECHAT_PAY_API_KEY": str(pay.apiv3_key_file),
        "WECHAT_PAY_PUBLIC_KEY_ID": pay.public_key_id,
        "WECHAT_PAY_PUBLIC_KEY": str(pay.public_key),
        "WECHAT_PAY_PLATFORM_CERTIFICATES": str(pay.platform_cert),
        "ALIPAY_APP_ID": alipay_wire.APP_ID,
        "ALIPAY_SELLER_ID": alipay_wire.SELLER_ID,
        "ALIPAY_URL": f"{ports.sandbox_url}/alipay/gateway.do",
        "ALIPAY_PRIVATE_KEY": str(alipay.app_private),
        "ALIPAY_PUBLIC_KEY": str(alipay.alipay_public),
        "BANKS": "sandbox",
        "BANK_SANDBOX_URL": ports.sandbox_url,
        "BANK_SANDBOX_PUBLIC_KEY": str(pair.bank_public),
        "BANK_SANDBOX_PRIVATE_KEY": str(pair.shop_private),
        "BANK_SANDBOX_CAN": "limits,statements",
    }


def secret() -> str:
    """Drawn once per clone, readable by its owner only."""
    path = HOME / "secret_key"
    if not path.exists():
        path.touch(0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


# --- the database -------------------------------------------------------------------------------


def stamp() -> str:
    made = hashlib.sha256()
    for pattern in MAKERS:
        for path in sorted(ROOT.glob(pattern)):
            made.update(path.read_bytes())
    return made.hexdigest()


def prepare(*, is_ours: bool) -> dict[str, Any]:
    """A migrated, filled database; what demo.json says of it."""
    from django.core.management import call_command

    from tests.demo import seed

    made_by, kept = HOME / "made_by", HOME / "facts.json"
    if made_by.exists() and kept.exists() and made_by.read_text() == stamp():
        step("the database of the last demo is up to date")
        facts: dict[str, Any] = json.loads(kept.read_text())
        return facts
    empty_database(is_ours=is_ours)
    made_by.unlink(missing_ok=True)
    step("migrations")
    call_command("migrate", verbosity=0)
    step("static files")
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    step("the demo's merchants, people and goods")
    facts = seed.load()
    kept.touch(0o600)
    kept.write_text(json.dumps(facts, ensure_ascii=False, indent=1))
    made_by.write_text(stamp())
    return facts


def empty_database(*, is_ours: bool) -> None:
    """A demo database of an older commit is thrown away; anybody else's is not touched."""
    from django.db import connection

    from config.kit.redis import connection as redis

    if not connection.introspection.table_names():
        return
    if not (is_ours or (HOME / "made_by").exists()):
        sys.exit(
            "siyu: DATABASE_URL holds tables that no demo has made; give the demo an empty one"
        )
    step("made by another version: making the demo database anew")
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    connection.close()
    redis().flushdb()
    for path in SANDBOX.glob("*.jsonl"):
        path.unlink()


# --- the processes ------------------------------------------------------------------------------


def processes(ports: Ports) -> list[Process]:
    python, programs = sys.executable, Path(sys.executable).parent
    host = ["--host", "127.0.0.1", "--port"]
    celery = [str(programs / "celery"), "-A", "config.celery"]
    return [
        Process(
            "sandbox",
            [python, "-m", "tests.sandbox", "--port", str(ports.sandbox), "--home", str(SANDBOX),
             "--shop-url", ports.base_url],
            ready=f"{ports.sandbox_url}/",
        ),
        Process(
            "web",
            [str(programs / "granian"), "--interface", "wsgi", *host, str(ports.web),
             "--workers", "2", "--blocking-threads", "64", "--respawn-failed-workers", "--no-ws",
             "--log-level", "warning",
             "config.wsgi:application"],
            ready=f"{ports.base_url}/healthz",
        ),
        Process(
            "live",
            [str(programs / "uvicorn"), "config.asgi:application", *host, str(ports.live),
             "--ws", "websockets-sansio", "--ws-max-size", "4096",
             "--ws-per-message-deflate", "false",
             "--log-level", "warning"],
            ready=f"http://127.0.0.1:{ports.live}/healthz",
        ),
        Process(
            "worker",
            [*celery, "worker", "--loglevel", "WARNING", "--concurrency", "2", "--without-mingle",
             "--without-gossip"],
            grace=15,
        ),
        Process(
            "beat",
            [*celery, "beat", "--loglevel", "WARNING", "--schedule", str(HOME / "beat"),
             "--pidfile="],
        ),
    ]  # fmt: skip


# --- once it runs -------------------------------------------------------------------------------


def open_shop(ports: Ports, facts: dict[str, Any]) -> None:
    """Everything answers: fill the pool, play the first sale, write demo.json, tell the way."""
    from django.db import connection

    from config.kit.tasks import beat
    from payments.ledger import services as ledger
    from payments.receiving import pool
    from payments.receiving.models import ReceivingAccount
    from tests.demo import first_sale, stage
    from tests.demo.seed import ACCOUNT

    beat.delay()
    account = ReceivingAccount.objects.get(account_no=ACCOUNT)
    remind_bank(account)
    pool.fill(account=account)
    demo = {
        "base_url": ports.base_url,
        "ws_url": ports.ws_url,
        "sandbox_url": ports.sandbox_url,
        "admin_url": f"{ports.base_url}/admin/",
        "account_no": ACCOUNT,
        **facts,
    }
    first_sale.play(demo, run=time.strftime("%d%H%M%S"))
    demo["live"] = stage.live_session(demo)
    findings = ledger.audit()
    print("  audit      " + ("; ".join(findings) or "every book is even"), flush=True)
    connection.close()
    FACTS.touch(0o600)
    FACTS.write_text(json.dumps(demo, ensure_ascii=False, indent=1))
    welcome(demo)


def remind_bank(account: Any) -> None:
    """The sandbox forgets all accounts at a reset; told a second time it changes nothing."""
    from payments.channels import transfer
    from payments.receiving.models import VirtualAccount

    known = VirtualAccount.objects.filter(receiving_account=account).order_by("pk")
    units = list(known.values_list("unit", flat=True))
    transfer.bank(account.provider).register_units(account.account_no, units)


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def welcome(demo: dict[str, Any]) -> None:
    people = demo["staff"]
    print(
        f"""
The shop is open; Ctrl-C closes it.

  admin      {demo["admin_url"]}
             {", ".join(one["username"] for one in people.values() if one is not people["guide"])}
             password {people["platform"]["password"]}
  API docs   {demo["base_url"]}/api/docs/
  room       {demo["ws_url"]}/ws/live/{demo["live"]["session"]}
  bank       {demo["sandbox_url"]}/   a buyer's mobile bank
  facts      {shown(FACTS)}   for scripts
  logs       {shown(DATA / "log")}/
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
