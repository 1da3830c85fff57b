"""The room: what viewers of a session hear over their sockets.

One process holds thousands of sockets.  It has one subscription to Redis, from which it hears of
new events, and it looks into PostgreSQL once a second for what it did not hear; so a lost message,
or a Redis that is down, costs the room a second.  Each socket has a short queue and a sender of its
own: who does not read is dropped, nobody waits for him.

Viewers only listen.  After `hello` come the events, each with the session's `seq`; a client that
sees a gap, or was away, fetches `GET live/sessions/{id}/events?after=`.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import redis.asyncio as async_redis
from django.conf import settings
from django.db import close_old_connections
from django.http.request import validate_host
from django.utils.timezone import now
from redis import RedisError
from rest_framework.exceptions import AuthenticationFailed

from config.kit.api import render_json
from config.kit.errors import NotFound
from config.kit.numbers import is_sound
from livestream import broadcast, queries
from livestream.broadcast import Frame
from livestream.models import Session
from members.accounts.auth import BearerToken
from members.accounts.models import User

logger = logging.getLogger(__name__)
T = TypeVar("T")
Message = MutableMapping[str, Any]
Send = Callable[[Message], Coroutine[Any, Any, None]]
Receive = Callable[[], Coroutine[Any, Any, Message]]

MOST_SOCKETS = 20_000  # of one process
QUEUE = 64  # events that a socket may be behind
PING_EVERY = 20.0  # seconds
LOOK_EVERY = 1.0  # seconds between looks into PostgreSQL
HELLO_KEPT = 0.5  # seconds; ten thousand who come at once share one query
REMEMBERED = 256  # events per session, for those who come between two of them
GOODBYE = 2.0  # seconds that a dropped viewer has for the closing handshake
LONGEST_WORD = 64  # signs that a viewer may send at once
MOST_WORDS = 20  # in a minute
# Pages of our own hosts, and mini programs; other programs send no Origin.
WECHAT_ORIGIN = "servicewechat.com"

# WebSocket closing codes (RFC 6455 §7.4.1 and IANA's list).
NOT_UNDERSTOOD, NOT_WELCOME, TOO_MUCH, TOO_SLOW = 1003, 1008, 1008, 1013


class Refused(Exception):
    """No socket for this request; an HTTP status instead."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(eq=False, slots=True)
class Socket:
    """One viewer's connection.  `seq`: the last event that it was given."""

    send: Send
    token: str = ""
    seq: int = 0
    ends_with: int = 0
    queue: "asyncio.Queue[str]" = field(default_factory=lambda: asyncio.Queue(QUEUE))

    def give(self, frame: Frame) -> None:
        if frame.seq > self.seq:
            self.seq = frame.seq
            self.say(frame.text)

    def say(self, text: str) -> None:
        """Never waits; who is too far behind is dropped."""
        if self.ends_with:
            return
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            self.drop(TOO_SLOW)

    def drop(self, code: int) -> None:
        """Say goodbye as soon as its sender looks; what it was still to hear is forgotten."""
        if not self.ends_with:
            self.ends_with = code
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait("")
            asyncio.get_running_loop().call_later(GOODBYE, _hang_up, self.send)

    async def pump(self) -> None:
        """What is in the queue goes out, in order."""
        while True:
            text = await self.queue.get()
            if self.ends_with:
                await self.send({"type": "websocket.close", "code": self.ends_with})
                return
            await self.send({"type": "websocket.send", "text": text})


def _hang_up(send: Send) -> None:
    """Who never reads never gets a closing frame either, and would keep his buffers for ever.

    ASGI has no word for that, so this asks uvicorn's protocol, whose method `send` is.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()


class Channel:
    """The sockets of one session in this process."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.sockets: set[Socket] = set()
        self.seq = session.last_seq
        self.recent: deque[Frame] = deque(maxlen=REMEMBERED)
        self.lock = asyncio.Lock()
        self._hello: tuple[float, int, str] = (0.0, 0, "")

    def tell(self, frames: Sequence[Frame]) -> None:
        """The next events, without a gap; ones that were told already are skipped."""
        for frame in frames:
            if frame.seq == self.seq + 1:
                self.seq = frame.seq
                self.recent.append(frame)
                for socket in tuple(self.sockets):
                    socket.give(frame)

    async def hello(self) -> tuple[int, str]:
        """The session as it is now (shared for a moment), and the `seq` up to which it says all."""
        async with self.lock:
            made, seq, text = self._hello
            if seq < self.seq or not text or time.monotonic() - made > HELLO_KEPT:
                seq, text = await look_up(_hello, self.session.pk)
                self._hello = (time.monotonic(), seq, text)
        return seq, text

    def join(self, socket: Socket, seq: int, hello: str) -> bool:
        """False when so much happened since `hello` was made that it must be made anew."""
        oldest = self.recent[0].seq if self.recent else self.seq + 1
        if seq + 1 < oldest:
            self._hello = (0.0, 0, "")
            return False
        socket.say(hello)
        socket.seq = seq
        for frame in self.recent:
            socket.give(frame)
        self.sockets.add(socket)
        return True


# --- what PostgreSQL is asked, in threads -------------------------------------------------------

_threads = ThreadPoolExecutor(4, thread_name_prefix="room")


async def look_up(query: Callable[..., T], *args: Any) -> T:
    """Run a query beside the loop, which must never wait for a database."""

    def run() -> T:
        close_old_connections()
        return query(*args)

    return await asyncio.get_running_loop().run_in_executor(_threads, run)


def _may_enter(number: str, token: str) -> Session:
    """The session; Refused as the API would."""
    user: User | None = None
    try:
        if token:
            user, _ = BearerToken().authenticate_credentials(token.encode())
        return queries.session_for(user, number)
    except AuthenticationFailed:
        raise Refused(401) from None
    except NotFound:
        raise Refused(404) from None


def _hello(session_id: int) -> tuple[int, str]:
    session = Session.objects.select_related("merchant").get(pk=session_id)
    facts = queries.detail(session, None)
    lots = facts.pop("lots")
    event = {
        "type": "hello",
        "at": now(),
        "seq": session.last_seq,
        "data": {"session": facts, "lots": lots},
    }
    return session.last_seq, render_json(event).decode()


def _missed(session: Session, seq: int) -> list[Frame]:
    return [broadcast.frame(event) for event in queries.events_after(session, seq)]


def _welcome(session: Session, tokens: Sequence[str]) -> set[str]:
    """Of these tokens, the ones with which one may be in a private room now."""
    return queries.tokens_welcome(session, tokens, now())


# --- the process --------------------------------------------------------------------------------


class Room:
    """The ASGI application of the live process: /ws/live/{session} and /healthz."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._count = 0
        self._jobs: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await self._serve(scope, receive, send)
        else:
            await _answer_http(scope, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._jobs = [
            asyncio.create_task(job)
            for job in (
                _for_ever(self._listen),
                _for_ever(self._look),
                _for_ever(self._ping),
            )
        ]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for job in self._jobs:
            job.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        try:
            if self._count >= MOST_SOCKETS:
                raise Refused(503)
            number, token = _asked_for(scope)
            session = await look_up(_may_enter, number, token)
        except Refused as refused:
            return await _refuse(send, refused.status)
        await send({"type": "websocket.accept"})
        socket = Socket(send, token)
        channel = self._channels.setdefault(number, Channel(session))
        self._count += 1
        try:
            while not channel.join(socket, *await channel.hello()):
                pass
            await _until_first_ends(socket.pump(), _hear_out(socket, receive))
        finally:
            self._count -= 1
            channel.sockets.discard(socket)
            if not channel.sockets and self._channels.get(number) is channel:
                del self._channels[number]
        return None

    async def _listen(self) -> None:
        """Redis says what is new; until it does so again, `_look` finds it."""
        client = async_redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=None, socket_connect_timeout=settings.REDIS_TIMEOUT
        )
        async with client, client.pubsub() as subscription:
            await subscription.subscribe(broadcast.CHANNEL)
            async for message in subscription.listen():
                if message["type"] == "message":
                    await self._pass_on(message["data"])

    async def _pass_on(self, message: bytes) -> None:
        try:
            number, frames = broadcast.heard(message)
        except ValueError:
            logger.warning("not an event: %r", message[:200])
            return
        channel = self._channels.get(number)
        if channel is None:
            return
        if frames[0].seq > channel.seq + 1:
            await self._catch_up(channel)
        channel.tell(frames)

    async def _look(self) -> None:
        """What was missed, and who is not welcome any more (logged out, blocked, left)."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            by_id = {channel.session.pk: channel for channel in self._channels.values()}
            if not by_id:
                continue
            for session_id, seq in (await look_up(queries.last_seqs, list(by_id))).items():
                if seq > by_id[session_id].seq:
                    await self._catch_up(by_id[session_id])
            for session_id in await look_up(queries.private_among, list(by_id)):
                await _show_out(by_id[session_id])

    async def _catch_up(self, channel: Channel) -> None:
        while frames := await look_up(_missed, channel.session, channel.seq):
            channel.tell(frames)

    async def _ping(self) -> None:
        """So that a client whose line is dead notices, and one that missed something too."""
        while True:
            await asyncio.sleep(PING_EVERY)
            for channel in tuple(self._channels.values()):
                text = render_json({"type": "ping", "at": now(), "seq": channel.seq, "data": {}})
                for socket in tuple(channel.sockets):
                    socket.say(text.decode())


async def _show_out(channel: Channel) -> None:
    sockets = tuple(channel.sockets)
    welcome = await look_up(_welcome, channel.session, list({socket.token for socket in sockets}))
    for socket in sockets:
        if socket.token not in welcome:
            socket.drop(NOT_WELCOME)


async def _for_ever(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Again after a second, whatever happened: Redis or PostgreSQL may be away for a while."""
    while True:
        try:
            await job()
        except (RedisError, OSError) as error:
            logger.warning("the room: %s", error)
        except Exception:
            logger.exception("the room")
        await asyncio.sleep(1)


async def _hear_out(socket: Socket, receive: Receive) -> None:
    """A viewer may say `ping`, and not too often; anything else ends the conversation."""
    since, words = time.monotonic(), 0
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if time.monotonic() - since > 60:
            since, words = time.monotonic(), 0
        words += 1
        text = message.get("text") or ""
        if len(text) > LONGEST_WORD or text.strip() not in {"ping", '{"type":"ping"}'}:
            socket.drop(NOT_UNDERSTOOD)
        elif words > MOST_WORDS:
            socket.drop(TOO_MUCH)
        else:
            socket.say('{"type":"pong"}')


async def _until_first_ends(*jobs: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- the handshake ------------------------------------------------------------------------------


def _asked_for(scope: Message) -> tuple[str, str]:
    """The session's number and the token, if any; Refused for other paths and other origins."""
    head, _, number = scope["path"].rpartition("/")
    if head != "/ws/live" or not is_sound(number):
        raise Refused(404)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if not _is_ours(headers.get("origin", "")):
        raise Refused(403)
    asked = parse_qs(scope["query_string"].decode("latin-1"))
    token = asked.get("token", [""])[0]
    return number, token or headers.get("authorization", "").removeprefix("Bearer ").strip()


def _is_ours(origin: str) -> bool:
    if not origin:
        return True
    host = urlsplit(origin).hostname or ""
    return host == WECHAT_ORIGIN or validate_host(host, settings.ALLOWED_HOSTS)


async def _refuse(send: Send, status: int) -> None:
    headers = [(b"content-type", b"application/problem+json")]
    start = {"type": "websocket.http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": b"{}"})


async def _answer_http(scope: Message, send: Send) -> None:
    is_health = scope["path"] == "/healthz"
    headers = [(b"content-type", b"application/json")]
    status = 200 if is_health else 404
    await send({"type": "http.response.start", "status": status, "headers": headers})
    body = b'{"status":"ok"}' if is_health else b"{}"
    await send({"type": "http.response.body", "body": body})
