from typing import Any, ClassVar, cast

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from axes.utils import reset
from django import forms
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as PasswordPages
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from knox.models import AuthToken
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserCreationForm

from config.kit.admin import Edit, Lines, Look, Sure, each
from config.kit.columns import DayFilter, label
from config.kit.errors import Refusal
from members.accounts import services
from members.accounts.models import Address, User, WeChatIdentity

# Posts decide here, not groups; tokens are the services'; of axes only who is locked out matters.
for unused in (Group, AuthToken, AccessAttempt, AccessFailureLog, AccessLog):
    if admin.site.is_registered(unused):
        admin.site.unregister(unused)


apps.get_app_config("axes").verbose_name = "登录安全"  # it says Axes, without gettext


class YourOwnAccount(Refusal):
    message = "不能停用自己的账号"


class NewUser(UserCreationForm):
    class Meta:
        model = User
        fields = ["username", "nickname"]

    usable_password: ClassVar[None] = None


class NewPassword(AdminPasswordChangeForm):
    """A password that somebody else sets ends what the old one had opened."""

    def save(self, commit: bool = True) -> User:
        user = cast(User, super().save(commit=commit))
        services.log_out_everywhere(user=user)
        return user


class Identities(Lines):
    model = WeChatIdentity
    fields = ["appid", "openid", "created_at"]


class Addresses(Lines):
    model = Address
    fields = ["name", "phone", "place", "is_default"]

    @display(description="地址")
    def place(self, address: Address) -> str:
        return f"{address.province}{address.city}{address.district}{address.detail}"


@admin.register(User)
class UserAdmin(Edit, PasswordPages):
    """For the platform's staff; a person's posts are given at the merchant."""

    add_form = NewUser
    add_form_template = None
    change_password_form = NewPassword
    form = forms.ModelForm
    list_display = ["name", "number", "phone", "state", "date_joined", "last_login"]
    list_filter = [
        ("is_staff", BooleanRadioFilter),
        ("is_active", BooleanRadioFilter),
        ("date_joined", DayFilter),
    ]
    search_fields = ["number", "username", "nickname", "phone"]
    search_help_text = "用户编号、用户名、昵称或手机号"
    ordering = ["-date_joined", "-pk"]
    filter_horizontal = []
    fieldsets = [
        (None, {"fields": [("number", "username", "state"), ("nickname", "phone")]}),
        ("时间", {"fields": [("date_joined", "last_login")]}),
    ]
    editable = ["nickname", "phone"]
    addable = ["username", "nickname", "password1", "password2"]
    inlines = [Identities, Addresses]
    actions_detail = ["password", "block", "unblock"]
    offered = {
        "block": lambda user: user.is_active,
        "unblock": lambda user: not user.is_active,
    }

    @display(description="姓名", ordering="username")
    def name(self, user: User) -> str:
        return str(user)

    @display(description="身份")
    def state(self, user: User) -> str:
        if not user.is_active:
            return label("已停用", "danger")
        if user.is_superuser:
            return label("平台", "primary")
        return label("员工", "info") if user.is_staff else label("买家")

    def keep(self, request: HttpRequest, row: User, values: dict[str, Any]) -> None:
        User.objects.filter(pk=row.pk).update(**values)

    def add(self, request: HttpRequest, values: dict[str, Any]) -> User:
        return User.objects.create_user(
            values["username"],
            password=values["password1"],
            nickname=values["nickname"],
            date_joined=now(),
        )

    @action(description="修改密码", icon="key", permissions=["act"], url_path="new-password")
    def password(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.user_change_password(request, object_id)

    @action(description="停用账号", icon="block", permissions=["act"])
    def block(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda user, _: self._block(request, user),
            title="停用账号",
            lead="停用后密码与所有登录立即失效。",
        )

    def _block(self, request: HttpRequest, user: User) -> None:
        if user.pk == request.user.pk:
            raise YourOwnAccount
        services.block(user=user)

    @action(description="恢复账号", icon="check", permissions=["act"])
    def unblock(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request, object_id, Sure, lambda user, _: services.unblock(user=user), title="恢复账号"
        )


@admin.register(AccessAttempt)
class AccessAttemptAdmin(Look):
    """Who cannot log in for now, and the way to let them."""

    list_display = ["username", "ip_address", "failures_since_start", "attempt_time"]
    fields = ["username", "ip_address", "failures_since_start", "attempt_time"]
    search_fields = ["username", "ip_address"]
    ordering = ["-attempt_time"]
    actions = ["unlock"]

    @action(description="解除锁定", permissions=["act"])
    def unlock(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        each(
            self,
            request,
            rows,
            lambda row: reset(ip=row.ip_address, username=row.username),
            "解除锁定",
        )
