import pytest
from axes.models import AccessAttempt
from knox.models import AuthToken
from rest_framework.test import APIClient

from members.accounts import services
from tests.members.people import make_user

pytestmark = pytest.mark.django_db

LOGIN = "/api/v1/auth/staff"


def log_in(username, password, **extra):
    body = {"username": username, "password": password}
    return APIClient().post(LOGIN, body, format="json", **extra)


@pytest.fixture
def finance():
    return make_user("财务", username="finance", password="correct horse")


def test_the_right_password_gives_a_token(finance):
    answer = log_in("finance", "correct horse")

    assert answer.status_code == 200
    assert answer.json()["user"] == {"id": finance.number}
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['token']}")
    assert client.get("/api/v1/me").status_code == 200


def test_unknown_name_wrong_password_and_blocked_person_get_the_same_answer(finance):
    services.block(user=make_user(username="gone", password="correct horse"))
    make_user(username="wechat-only")  # has no password at all

    answers = [
        log_in("nobody", "correct horse"),
        log_in("finance", "wrong"),
        log_in("gone", "correct horse"),
        log_in("wechat-only", "correct horse"),
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["code"] for answer in answers} == {"WRONG_PASSWORD"}
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert not AuthToken.objects.exists()


def test_after_five_failures_the_right_password_does_not_help_for_a_while(finance):
    for _ in range(5):
        last = log_in("finance", "wrong")

    answer = log_in("finance", "correct horse")

    assert last.status_code == 429
    assert (answer.status_code, answer.json()["code"]) == (429, "LOCKED_OUT")
    assert answer["Content-Type"] == "application/problem+json"
    assert int(answer["Retry-After"]) == 15 * 60
    assert not AuthToken.objects.exists()


def test_a_lock_out_of_one_name_leaves_others_alone(finance):
    make_user(username="owner", password="correct horse")
    for _ in range(5):
        log_in("finance", "wrong")

    assert log_in("owner", "correct horse").status_code == 200


def test_success_forgets_earlier_failures(finance):
    for _ in range(4):
        log_in("finance", "wrong")
    log_in("finance", "correct horse")

    assert log_in("finance", "wrong").status_code == 401
    assert AccessAttempt.objects.get().failures_since_start == 1


def test_a_forged_forwarded_address_does_not_escape_the_lock(finance):
    for i in range(5):
        log_in("finance", "wrong", HTTP_X_FORWARDED_FOR=f"10.0.0.{i}")

    assert log_in("finance", "correct horse", HTTP_X_FORWARDED_FOR="10.9.9.9").status_code == 429


@pytest.mark.parametrize("password", ["", "x" * 129, None, 5])
def test_malformed_credentials_are_refused(finance, password):
    assert log_in("finance", password).status_code == 400
