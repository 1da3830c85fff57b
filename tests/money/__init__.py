import pytest

pytest.register_assert_rewrite("tests.money.checks", "tests.money.outside")
