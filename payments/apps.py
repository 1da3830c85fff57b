from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "资金"

    def ready(self) -> None:
        from payments.carrier import protocol  # noqa: F401, PLC0415  registers system checks
        from payments.cashier import payables  # noqa: F401, PLC0415  registers a system check
