from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401
