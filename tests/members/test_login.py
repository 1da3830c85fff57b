from datetime import timedelta

import pytest
from django.utils.timezone import now
from knox.models import AuthToken
from rest_framework.test import APIClient

from members.accounts import services
from members.accounts.models import User, WeChatIdentity
from members.accounts.rules import MOST_TOKENS
from tests.members.people import client_of, make_user

pytestmark = pytest.mark.django_db(transaction=True)  # WeChat is never asked in a transaction

LOGIN = "/api/v1/auth/wechat"
ME = "/api/v1/me"


def log_in(code):
    return APIClient().post(LOGIN, {"code": code}, format="json")


def with_token(token):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def test_the_first_visit_makes_a_person_and_the_second_finds_them(sandbox):
    first, second = log_in(sandbox.code("小美")), log_in(sandbox.code("小美"))

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["user"] == second.json()["user"]
    assert first.json()["token"] != second.json()["token"]
    assert User.objects.count() == 1
    assert with_token(first.json()["token"]).get(ME).json()["id"] == first.json()["user"]["id"]


def test_two_people_are_two_people(sandbox):
    assert (
        log_in(sandbox.code("小美")).json()["user"] != log_in(sandbox.code("小李")).json()["user"]
    )


def test_a_used_code_logs_nobody_in(sandbox):
    code = sandbox.code("小美")
    log_in(code)

    again = log_in(code)

    assert again.status_code == 401
    assert again.json()["code"] == "CODE_REFUSED"
    assert AuthToken.objects.count() == 1


def test_an_unknown_code_makes_no_person(sandbox):
    assert log_in("made-up").status_code == 401
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "body",
    [{}, {"code": ""}, {"code": 7}, {"code": None}, {"code": "x" * 129}, {"code": "x", "a": 1}],
)
def test_a_malformed_login_is_refused(body):
    answer = APIClient().post(LOGIN, body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID")


def test_when_wechat_is_away_nobody_is_made_and_the_client_may_try_again(sandbox):
    sandbox.faults("/sns/jscode2session", "error_before", times=10)

    answer = log_in("sandbox:小美")

    assert answer.status_code == 503
    assert int(answer["Retry-After"]) >= 1
    assert not User.objects.exists()


def test_an_expired_token_does_not_stop_its_own_renewal(sandbox):
    answer = with_token("0" * 64).post(LOGIN, {"code": sandbox.code("小美")}, format="json")

    assert answer.status_code == 200


def test_the_same_unionid_in_another_mini_program_is_the_same_person():
    one = services.log_in(appid="wx1", openid="a", unionid="u", at=now())
    other = services.log_in(appid="wx2", openid="b", unionid="u", at=now())

    assert one.user == other.user
    assert WeChatIdentity.objects.count() == 2


def test_a_unionid_that_comes_later_is_learnt_but_never_taken_from_another():
    one = services.log_in(appid="wx1", openid="a", at=now()).user
    services.log_in(appid="wx1", openid="a", unionid="u", at=now())
    two = services.log_in(appid="wx1", openid="b", at=now()).user
    services.log_in(appid="wx1", openid="b", unionid="u", at=now())

    one.refresh_from_db()
    two.refresh_from_db()
    assert (one.unionid, two.unionid) == ("u", None)


def test_a_revoked_token_is_refused_on_the_next_request_and_only_that_one():
    user = make_user()
    phone, tablet = client_of(user), client_of(user)

    assert phone.post("/api/v1/auth/logout").status_code == 204

    assert phone.get(ME).status_code == 401
    assert phone.get(ME)["WWW-Authenticate"] == "Bearer"
    assert tablet.get(ME).status_code == 200


def test_logging_out_everywhere_revokes_all_tokens_of_this_person_only():
    user, other = make_user(), make_user()
    phone, tablet, stranger = client_of(user), client_of(user), client_of(other)

    assert phone.post("/api/v1/auth/logout-all").status_code == 204

    assert [client.get(ME).status_code for client in (phone, tablet, stranger)] == [401, 401, 200]


def test_an_expired_token_is_refused():
    user = make_user()
    past = now() - timedelta(days=31)
    token = services.grant(user=user, at=past).token

    assert with_token(token).get(ME).status_code == 401


def test_a_blocked_person_is_out_at_once_and_stays_out(sandbox):
    token = log_in(sandbox.code("小美")).json()["token"]
    user = User.objects.get()

    services.block(user=user)

    assert with_token(token).get(ME).status_code == 401
    answer = log_in(sandbox.code("小美"))
    assert (answer.status_code, answer.json()["code"]) == (403, "ACCOUNT_BLOCKED")
    assert not AuthToken.objects.exists()


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer a b",
        "Bearer é",
        "Bearer " + "x" * 5000,
        "Basic abc",
        "Token abc",
        "bearer nul",
    ],
)
def test_a_malformed_token_is_a_401_never_a_crash(header):
    assert APIClient().get(ME, HTTP_AUTHORIZATION=header).status_code == 401


def test_a_token_costs_one_query(django_assert_num_queries):
    client = client_of(make_user())

    with django_assert_num_queries(2):  # the token with its person, and the address
        client.get("/api/v1/me/addresses/none")


def test_the_oldest_device_goes_when_there_are_too_many():
    user = make_user()
    clients = [client_of(user) for _ in range(MOST_TOKENS + 1)]

    assert AuthToken.objects.filter(user=user).count() == MOST_TOKENS
    assert clients[0].get(ME).status_code == 401
    assert clients[-1].get(ME).status_code == 200


def test_the_token_is_not_stored_in_clear():
    grant = services.grant(user=make_user(), at=now())
    row = AuthToken.objects.get()

    assert grant.token not in (row.digest, row.token_key)
