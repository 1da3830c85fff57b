from django.apps import AppConfig


class MembersConfig(AppConfig):
    name = "members"
    verbose_name = "人员"

    def ready(self) -> None:
        from members.accounts import schema  # noqa: F401, PLC0415  registers the OpenAPI scheme
        from members.guides import targets  # noqa: F401, PLC0415  registers a system check
