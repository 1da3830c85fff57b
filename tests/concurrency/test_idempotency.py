import time

import pytest
from django.db import transaction

from config.kit.models import IdempotencyKey
from shop.orders.models import Order
from tests.concurrency.together import together
from tests.factories import client_of, key, make_address, make_sku, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def body(buyer, sku):
    address = make_address(buyer).number
    return {"lines": [{"sku": sku.number, "quantity": 1}], "address_id": address}


def test_one_key_at_once_from_eight_threads_is_one_order():
    buyer, sku = make_user(), make_sku(on_hand=99)
    asked, header = body(buyer, sku), key()
    clients = [client_of(buyer) for _ in range(8)]
    answers = []

    def post(i):
        answer = clients[i].post("/api/v1/orders", asked, format="json", **header)
        answers.append(answer)
        return str(answer.status_code)

    endings = together(8, post)

    assert Order.objects.count() == 1
    assert set(endings) <= {"201", "409"}
    placed = [answer.json() for answer in answers if answer.status_code == 201]
    assert placed
    assert all(answer == placed[0] for answer in placed)
    refused = {answer.json()["code"] for answer in answers if answer.status_code == 409}
    assert refused <= {"IDEMPOTENCY_IN_PROGRESS"}


def test_without_a_key_the_race_is_real():
    """If this ever fails, the test above proves nothing."""
    from tests.factories import place

    buyer, sku = make_user(), make_sku(on_hand=99)

    def careless(i):
        if not Order.objects.filter(buyer=buyer).exists():
            time.sleep(0.05)
            place(buyer, sku)

    together(8, careless)

    assert Order.objects.count() > 1


def test_while_the_first_runs_the_second_is_told_so():
    from config.kit.idempotency import IdempotencyInProgress, _claim, _replay

    buyer = make_user()
    with transaction.atomic():
        assert _claim(buyer.pk, "k1", "f1")

        def second(i):
            assert _claim(buyer.pk, "k1", "f1") is None
            _replay(buyer.pk, "k1", "f1")

        assert together(1, second) == {IdempotencyInProgress().code: 1}


def test_a_crash_between_effect_and_answer_leaves_no_half():
    buyer, sku = make_user(), make_sku(on_hand=99)
    asked, header = body(buyer, sku), key()
    client = client_of(buyer)
    client.raise_request_exception = False
    from django.db import connection

    with connection.cursor() as cursor:  # the answer cannot be stored: as if the process died here
        cursor.execute(
            "CREATE FUNCTION pg_temp.die() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'crash'; END $$;"
            "CREATE TRIGGER die BEFORE UPDATE ON kit_idempotencykey"
            " FOR EACH ROW EXECUTE FUNCTION pg_temp.die()"
        )
    try:
        assert client.post("/api/v1/orders", asked, format="json", **header).status_code == 500
        assert not Order.objects.exists()
        assert not IdempotencyKey.objects.exists()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER die ON kit_idempotencykey")

    assert client.post("/api/v1/orders", asked, format="json", **header).status_code == 201
    assert Order.objects.count() == 1
