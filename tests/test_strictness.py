"""What every endpoint refuses, whatever it does: shown at the door of one of them."""

import json

import pytest
from django.test import Client
from rest_framework.test import APIClient

from tests.factories import client_of, key, make_user

pytestmark = pytest.mark.django_db
ADDRESSES = "/api/v1/me/addresses"
GOOD = {
    "name": "王小美",
    "phone": "13800138000",
    "province": "浙江省",
    "city": "杭州市",
    "district": "西湖区",
    "detail": "龙井路1号",
}


@pytest.fixture
def client():
    return client_of(make_user())


def post(client, raw, content_type="application/json"):
    return client.post(ADDRESSES, data=raw, content_type=content_type, **key())


def is_problem(answer, status):
    body = json.loads(answer.content)
    assert answer.status_code == status, body
    assert answer["Content-Type"] == "application/problem+json"
    assert body["status"] == status
    assert body["code"].isupper()
    assert body["request_id"] == answer["X-Request-Id"]
    return body


@pytest.mark.parametrize(
    ("case", "raw"),
    [
        ("not JSON", b"{"),
        ("empty", b""),
        ("a list", b"[]"),
        ("a string", b'"x"'),
        ("null", b"null"),
        ("a repeated key", b'{"name":"a","name":"b"}'),
        ("NaN", b'{"name":NaN}'),
        ("Infinity", b'{"name":Infinity}'),
        ("NUL", b'{"name":"a\\u0000b"}'),
        ("half a surrogate", b'{"name":"\\ud800"}'),
        ("not UTF-8", '{"name":"王"}'.encode("gbk")),
        ("UTF-16", '{"name":"a"}'.encode("utf-16")),
        ("deep lists", b'{"name":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        ("deep objects", b'{"a":' * 500 + b"1" + b"}" * 500),
        ("a number of 5,000 digits", b'{"name":' + b"9" * 5000 + b"}"),
        ("something behind it", b'{"name":"a"} {}'),
    ],
)
def test_a_body_that_is_not_sound_json_is_a_400(client, case, raw):
    is_problem(post(client, raw), 400)


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data"])
def test_another_content_type_is_a_415(client, content_type):
    answer = post(client, json.dumps(GOOD).encode(), content_type)

    is_problem(answer, 415)


def test_a_megabyte_is_enough(client):
    is_problem(post(client, b'{"name":"' + b"a" * 1_048_576 + b'"}'), 413)


@pytest.mark.parametrize("value", [1, True, None, ["a"], {"a": 1}, "a" * 1000])
def test_a_text_is_a_text(client, value):
    body = is_problem(post(client, json.dumps(GOOD | {"name": value}).encode()), 400)

    assert body["errors"][0]["field"] == "name"


def test_an_unknown_key_is_named(client):
    body = is_problem(post(client, json.dumps(GOOD | {"user_id": 1}).encode()), 400)

    assert body["errors"] == [{"field": "user_id", "code": "UNKNOWN", "detail": "未知字段"}]


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/orders/", "/api/v1/products/%00"])
def test_an_unknown_path_is_a_problem_too(path):
    is_problem(Client().get(path), 404)


def test_a_method_that_is_not_there_is_a_405(client):
    is_problem(client.patch(ADDRESSES, {}, format="json"), 405)


def test_the_clients_request_id_is_echoed_if_it_is_sound():
    given = APIClient().get("/api/v1/products", HTTP_X_REQUEST_ID="abc-12345678")
    forged = APIClient().get("/api/v1/products", HTTP_X_REQUEST_ID="a\tb<script>")

    assert given["X-Request-Id"] == "abc-12345678"
    assert forged["X-Request-Id"] != "a\tb<script>"


@pytest.mark.parametrize("token", ["x", "", "a b", "王", "x" * 5000])
def test_a_made_up_token_is_a_401(token):
    answer = APIClient().get(
        "/api/v1/orders", HTTP_AUTHORIZATION=f"Bearer {token}".encode().decode("latin-1")
    )

    is_problem(answer, 401)
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("bad", ["not-a-uuid", "1", "x" * 200, "''"])
def test_an_idempotency_key_is_a_uuid(client, bad):
    answer = client.post(ADDRESSES, GOOD, format="json", HTTP_IDEMPOTENCY_KEY=bad)

    assert is_problem(answer, 400)["code"] == "IDEMPOTENCY_KEY_REQUIRED"
