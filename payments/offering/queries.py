from payments.offering.models import MethodRule
from payments.offering.rules import Rule


def rules_about(*, merchant: str, method: str = "") -> list[Rule]:
    """What is said of a merchant's things, of one method or of all; one query."""
    rows = MethodRule.objects.about(merchant)
    return (rows.filter(method=method) if method else rows).told()
