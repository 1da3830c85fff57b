"""The room over real sockets, as its own process."""

import socket as sockets
import time
from contextlib import suppress

import pytest
from django.utils.timezone import now
from websockets.exceptions import ConnectionClosed, InvalidStatus

from config.kit import redis
from livestream import broadcast, services
from livestream.models import RoomEvent
from members.accounts import services as accounts
from members.merchants import services as merchants
from tests.factories import make_member, make_merchant, make_user
from tests.livestream.processes import Viewer, await_true, everybody_leaves, live_process
from tests.livestream.stage import Buyer, make_lot, make_session, serve

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def process(django_db_setup):
    with live_process() as number:
        yield number


@pytest.fixture
def port(process):
    yield process
    everybody_leaves()


def token_of(user):
    return accounts.grant(user=user, at=now()).token


def status_of(port, session, **changes):
    with pytest.raises(InvalidStatus) as refused:
        Viewer(port, session, **changes)
    return refused.value.response.status_code


def test_a_guest_hears_the_whole_sale(port):
    lot = make_lot(is_dropped=False, quota=2)
    viewer = Viewer(port, lot.session.number)
    assert viewer.hello["seq"] == 1
    assert [one["id"] for one in viewer.hello["data"]["lots"]] == [lot.number]
    buyers = [Buyer(make_user("王小美")), Buyer(make_user("阿强"))]

    services.drop(lot=lot, at=now())
    dropped = viewer.next()
    for buyer in buyers:
        assert buyer.claim(lot).status_code == 202
    serve()
    sale = viewer.until("lot.sold_out")
    services.end(session=lot.session, at=now())
    rest = viewer.until("session.ended")

    assert dropped["type"] == "lot.dropped"
    assert (dropped["data"]["left"], dropped["data"]["price_fen"]) == (2, 99_00)
    names = [event["data"]["nickname"] for event in sale if event["type"] == "order.placed"]
    assert names == ["王**", "阿**"]
    assert [event["seq"] for event in [dropped, *sale, *rest]] == list(range(2, 2 + 3 + 3))
    assert all(event.keys() == {"type", "at", "seq", "data"} for event in [dropped, *sale, *rest])


def test_what_redis_lost_is_heard_all_the_same_in_its_order(port):
    """Events whose message never came, and messages that come twice or are no events."""
    session = make_session()
    viewer = Viewer(port, session.number)
    lost = [RoomEvent(session=session, seq=n, type="lot.stock", at=now(), data={}) for n in (2, 3)]
    RoomEvent.objects.bulk_create(lost)
    type(session).objects.update(last_seq=3)
    first = [viewer.next(), viewer.next()]

    frame = broadcast.Frame(3, '{"type":"forged","seq":3}')
    broadcast.publish(session.number, [frame])
    redis.connection().publish(broadcast.CHANNEL, b"\xff\xfe junk")
    services.end(session=session, at=now())
    last = viewer.next()

    assert [event["seq"] for event in first] == [2, 3]
    assert (last["seq"], last["type"]) == (4, "session.ended")


def test_who_comes_late_gets_the_present_and_goes_on_from_there(port):
    lot = make_lot()
    early = Viewer(port, lot.session.number)
    Buyer().claim(lot)
    serve()
    early.until("lot.stock")
    late = Viewer(port, lot.session.number)
    services.close(lot=lot, at=now())

    assert late.hello["seq"] == 4
    assert late.hello["data"]["lots"][0]["left"] == 9
    assert late.next()["seq"] == early.next()["seq"] == 5


def test_two_processes_tell_the_same(port):
    session = make_session()
    with live_process() as other:
        viewers = [Viewer(port, session.number), Viewer(other, session.number)]
        services.end(session=session, at=now())
        assert [viewer.next()["type"] for viewer in viewers] == ["session.ended"] * 2


def test_a_viewer_may_only_listen(port):
    session = make_session()
    talker, forger, shouter, binary, flood = (Viewer(port, session.number) for _ in range(5))
    talker.socket.send("ping")
    forger.socket.send('{"type":"lot.stock","seq":99,"data":{"left":0}}')
    binary.socket.send(b"\x00\xff")
    with suppress(ConnectionClosed):
        shouter.socket.send("x" * 10_000_000)
    with suppress(ConnectionClosed):
        for _ in range(30):
            flood.socket.send("ping")
    services.end(session=session, at=now())

    assert talker.next() == {"type": "pong"}
    assert talker.next()["type"] == "session.ended"
    assert forger.close_code() == 1003
    assert shouter.close_code() in {1009, 1006}
    assert binary.close_code() == 1003
    assert flood.close_code() == 1008


def test_who_does_not_read_is_dropped_and_nobody_waits_for_him(port):
    session = make_session()
    quick = Viewer(port, session.number)
    slow = sockets.create_connection(("127.0.0.1", port))
    slow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    slow.sendall(
        f"GET /ws/live/{session.number} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    time.sleep(0.5)
    big = {"note": "长" * 20_000}
    started = time.monotonic()
    for seq in range(2, 302):
        frame = broadcast.frame({"type": "lot.stock", "at": now(), "seq": seq, "data": big})
        broadcast.publish(session.number, [frame])
        assert quick.next()["seq"] == seq
    took = time.monotonic() - started

    def is_gone():
        try:
            slow.send(b"?")
        except OSError:
            return True
        return False

    await_true(is_gone)
    slow.close()
    assert took < 20


def test_the_door_is_opened_for_our_pages_and_for_programs(port):
    number = make_session().number

    for origin in ("http://localhost:8000", "http://127.0.0.1", "https://servicewechat.com"):
        assert Viewer(port, number, origin=origin).hello
    for origin in ("https://evil.example", "null", "https://localhost.evil.example"):
        assert status_of(port, number, origin=origin) == 403


def test_unknown_sessions_and_paths_and_tokens_are_refused(port):
    number = make_session().number

    assert status_of(port, "L2222222222222") == 404
    assert status_of(port, "%00") == 404
    assert status_of(port, f"{number}/x") == 404
    assert status_of(port, number, token="made-up") == 401
    assert status_of(port, number, token="%E7%8E%8B") == 401
    assert Viewer(port, number, token=token_of(make_user())).hello


def test_a_private_session_is_heard_by_members_and_staff_only(port):
    merchant = make_merchant()
    lot = make_lot(make_session(merchant), is_private=True)
    number = lot.session.number

    assert status_of(port, number) == 404
    assert status_of(port, number, token=token_of(make_user())) == 404
    assert Viewer(port, number, token=token_of(make_member(merchant))).hello
    assert Viewer(port, number, token=token_of(lot.session.host)).hello


def test_who_is_not_welcome_any_more_is_shown_out(port):
    """Guests when the session becomes private; members who log out; staff that is dismissed."""
    merchant = make_merchant()
    session = make_session(merchant)
    member, host = make_member(merchant), session.host
    stays = Viewer(port, session.number, token=token_of(make_member(merchant)))
    guest = Viewer(port, session.number)
    leaver = Viewer(port, session.number, token=token_of(member))
    staff = Viewer(port, session.number, token=token_of(host))

    make_lot(session, is_private=True, is_dropped=False)
    assert guest.close_code() == 1008
    accounts.log_out_everywhere(user=member)
    assert leaver.close_code() == 1008
    merchants.dismiss(user=host, merchant=merchant, role="OPERATOR")
    assert staff.close_code() == 1008
    services.end(session=session, at=now())
    assert stays.next()["type"] == "lot.closed"


def test_a_hundred_viewers_hear_everything(port):
    session = make_session()
    viewers = [Viewer(port, session.number) for _ in range(100)]
    lot = make_lot(session)
    services.close(lot=lot, at=now())

    for viewer in viewers:
        assert [event["seq"] for event in viewer.until("lot.closed")] == [2, 3]
