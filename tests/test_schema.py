"""What /api/schema/ says is complete, valid, and true of the routes."""

import io
import json

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from tests.test_routes import ROUTES


@pytest.fixture(scope="module")
def schema():
    out = io.StringIO()
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", stdout=out
    )
    return json.loads(out.getvalue())


def test_every_route_and_method_is_described(schema):
    described = {
        (path.removeprefix("/api/v1/").count("{"), method.upper(), path.split("{")[0])
        for path, operations in schema["paths"].items()
        for method in operations
    }
    served = {
        (route.count("{"), method, "/api/v1/" + route.split("{")[0])
        for route, methods in ROUTES.items()
        for method in methods
    }

    assert served == described


def test_every_answer_has_a_shape_and_every_error_is_a_problem(schema):
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            good = [code for code in operation["responses"] if code.startswith("2")]
            assert good, (method, path)
            taking = {"411", "413", "415", "422"} if method in {"post", "put"} else set()
            assert taking | {"400", "401", "404", "409", "503"} <= set(operation["responses"])
            for status in set(operation["responses"]) - set(good):
                content = operation["responses"][status]["content"]
                assert "application/problem+json" in content, (method, path, status)


def test_money_is_an_integer_and_ids_are_strings(schema):
    for name, component in schema["components"]["schemas"].items():
        for field, shape in component.get("properties", {}).items():
            kinds = shape.get("type", [])
            kinds = {kinds} if isinstance(kinds, str) else set(kinds)
            if field.endswith("_fen") and kinds:
                assert kinds - {"null"} == {"integer"}, (name, field)
            if field in {"id", "number", "sku", "order"} and kinds:
                assert kinds - {"null"} == {"string"}, (name, field)


@pytest.mark.django_db
def test_the_pages_are_served_without_a_stranger(settings):
    client = APIClient()

    assert client.get("/api/schema/").status_code == 200
    page = client.get("/api/docs/").content.decode()
    assert "swagger-ui" in page
    assert "cdn." not in page
    assert "https://" not in page
