"""The web process as granian runs it: clients that send slowly, too much, or half."""

import io
import json
import socket
import time
from contextlib import ExitStack, contextmanager, nullcontext
from threading import Event, Thread

import pytest

from config.kit.outside import waiting
from config.kit.reception import IN_MEMORY, Reception
from tests.livestream.processes import environment, free_port, running

OURS = ["config.wsgi:application"]
WITHOUT_RECEPTION = ["--factory", "django.core.wsgi:get_wsgi_application"]
KEPT = "POST /api/v1/quotes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HEAD = f"{KEPT}Connection: close\r\n"
PROBE = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@contextmanager
def web(target, threads):
    port = free_port()
    argv = ["-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    argv += ["--workers", "1", "--blocking-threads", str(threads), "--log-level", "error"]
    with running([*argv, *target], environment()):
        deadline = time.monotonic() + 60
        while ask(port, PROBE) != 200:
            assert time.monotonic() < deadline, "the web process did not start"
            time.sleep(0.1)
        yield port


@pytest.fixture(scope="module")
def port(django_db_setup):
    with web(OURS, threads=32) as port:
        yield port


def send(port, *parts, patience=5.0):
    """What comes back for these bytes, None when nothing does."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as line:
        answer = b""
        try:
            for part in parts:
                line.sendall(part)
            while more := line.recv(65536):
                answer += more
        except TimeoutError:
            return None
    return answer


def ask(port, head, *parts, patience=5.0):
    """The status."""
    try:
        answer = send(port, head.encode(), *parts, patience=patience)
    except ConnectionRefusedError:
        return 0
    return answer and int(answer.split()[1])


@contextmanager
def slow_clients(port, count):
    """They have sent a head and a little of the body, and now they think."""
    with ExitStack() as stack:
        for _ in range(count):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            line.sendall(f"{HEAD}Content-Length: 100\r\n\r\n".encode() + b'{"lines":')
        time.sleep(0.3)
        yield


def test_who_sends_slowly_holds_nobody_up(port):
    with slow_clients(port, 20):
        assert ask(port, f"{HEAD}Content-Length: 2\r\n\r\n", b"{}") == 401


def test_without_the_reception_one_slow_client_holds_the_worker(transactional_db):
    slow_login = HEAD.replace("quotes", "auth/staff")
    with web(WITHOUT_RECEPTION, threads=1) as port, ExitStack() as stack:
        line = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        line.sendall(f"{slow_login}Content-Length: 100\r\n\r\n".encode() + b'{"username":')
        time.sleep(0.3)

        assert ask(port, f"{HEAD}Content-Length: 2\r\n\r\n", b"{}", patience=2) is None


def test_an_answer_that_does_not_depend_on_the_body_waits_for_it(port):
    """Else the connection would be closed under the client that is still sending."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        for _ in range(3):
            line.sendall(f"{KEPT}Content-Length: 2\r\n\r\n".encode())
            time.sleep(0.05)
            line.sendall(b"{}")
            answer = line.recv(65536)
            assert answer.startswith(b"HTTP/1.1 401")


def test_too_large_a_body_is_refused_with_an_answer_that_arrives(port):
    upload = HEAD.replace("application/json", "multipart/form-data; boundary=x")
    mega = b"a" * 1_048_576

    assert ask(port, f"{upload}Content-Length: {100 * len(mega)}\r\n\r\n", *[mega] * 100) == 413
    assert ask(port, f"{HEAD}Content-Length: {2 * len(mega)}\r\n\r\n", mega, mega) == 413


def test_a_body_of_unknown_length_is_refused(port):
    answer = send(
        port, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode(), b"2\r\n{}\r\n0\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 411")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "LENGTH_REQUIRED"


def test_half_a_request_is_not_looked_at():
    class Broken:
        def read(self, size):
            return b""

    said = []
    reception = Reception(lambda *_: pytest.fail("it was looked at"))

    answer = reception(
        {"CONTENT_LENGTH": "5", "wsgi.input": Broken()}, lambda *told: said.append(told[0])
    )

    assert (list(answer), said) == ([b""], ["400 Bad Request"])


def answers(reception, count, body=b""):
    """What `count` requests at once are answered, in a list that fills."""
    told = []

    def ask_once():
        environ = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        return reception(environ, lambda *_: None)

    threads = [Thread(target=lambda: told.extend(ask_once()), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return told, threads


def beside(application, asked, end, body=b""):
    """What a second request is answered before the first may end; and both, afterwards."""
    reception = Reception(application)
    first, slow = answers(reception, 1, body)
    asked.wait(10)
    second, quick = answers(reception, 1)
    quick[0].join(0.5)
    meanwhile = list(second)
    end.set()
    for thread in slow + quick:
        thread.join(10)
    return meanwhile, first, second


def test_a_worker_answers_one_request_at_a_time():
    at_work, most = [], []

    def application(environ, start):
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(0.01)
        at_work.pop()
        return [b"done"]

    told, threads = answers(Reception(application), 20)
    for thread in threads:
        thread.join(10)

    assert (len(told), max(most)) == (20, 1)


@pytest.mark.parametrize(("size", "expected"), [(IN_MEMORY + 1, [b"quick"]), (IN_MEMORY, [])])
def test_a_large_upload_lets_others_in(size, expected):
    """The second case is the control: what is not large is answered in its turn."""
    disk, asked = Event(), Event()

    def application(environ, start):
        if not int(environ["CONTENT_LENGTH"]):
            return [b"quick"]
        asked.set()
        disk.wait(10)
        return [b"large"]

    assert beside(application, asked, disk, b"a" * size) == (expected, [b"large"], [b"quick"])


@pytest.mark.parametrize(("steps_aside", "expected"), [(True, [b"quick"]), (False, [])])
def test_who_waits_for_the_world_lets_others_in(steps_aside, expected):
    """The second case is the control: without `waiting` nobody gets in."""
    world, asked = Event(), Event()

    def application(environ, start):
        if asked.is_set():
            return [b"quick"]
        asked.set()
        with waiting() if steps_aside else nullcontext():
            world.wait(10)
        return [b"slow"]

    assert beside(application, asked, world) == (expected, [b"slow"], [b"quick"])
