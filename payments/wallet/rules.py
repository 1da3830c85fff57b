"""What a person has with us: which accounts hold it, and what each movement is called."""

from collections.abc import Mapping

METHOD = "WALLET"

# What the owner reads beside each movement of his wallet, by kind of posting.
WORDS: Mapping[str, str] = {
    "RECEIPT": "支付",
    "REFUND_PAID": "退款",
}


def wallet_of(number: str) -> str:
    """The account of what this user may spend."""
    return f"wallet:{number}"


def withdrawing_of(number: str) -> str:
    """The account of what this user's withdrawals in flight have frozen."""
    return f"withdrawing:{number}"


def named(kind: str, reference: str) -> str:
    """The number that the owner knows of a posting: a receipt's begins with its method."""
    return reference.partition(":")[2] if kind == "RECEIPT" else reference
