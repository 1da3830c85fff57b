"""The database goes away under a request."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from rest_framework.test import APIClient


def ended_by_somebody_else(pid):
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_lost_database_is_a_503_with_a_time_and_the_next_request_works():
    client = APIClient(raise_request_exception=False)
    assert client.get("/api/v1/products").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(ended_by_somebody_else, pid).result()

    answer = client.get("/api/v1/products")
    connection.close()  # as at the end of every request outside tests

    assert (answer.status_code, answer.json()["code"]) == (503, "TRY_AGAIN")
    assert int(answer["Retry-After"]) >= 1
    assert client.get("/api/v1/products").status_code == 200
