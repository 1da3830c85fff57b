from config.kit.db import is_outermost


def assert_no_transaction() -> None:
    """Every call to WeChat or a bank starts here: no lock of ours waits for a network."""
    assert is_outermost(), "network call inside a database transaction"
