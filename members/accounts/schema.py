"""How the API's documents describe `auth.BearerToken`.

Not in auth.py: REST framework's settings load that module while this library loads REST framework.
"""

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "members.accounts.auth.BearerToken"
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "POST auth/wechat gives one"}
