from django.db import models
from django.db.models import F, Q


class PlatformCertificate(models.Model):
    """A certificate of WeChat Pay's that it gave us itself; good until it expires."""

    serial = models.CharField("序列号", max_length=64)
    pem = models.TextField("证书")
    begins_at = models.DateTimeField("生效时间")
    ends_at = models.DateTimeField("失效时间")
    heard_at = models.DateTimeField("取得时间")

    class Meta:
        verbose_name = verbose_name_plural = "微信支付平台证书"
        constraints = [
            models.UniqueConstraint("serial", name="platform_certificate_serial_once"),
            models.CheckConstraint(
                name="platform_certificate_begins_before_it_ends",
                condition=Q(begins_at__lt=F("ends_at")),
            ),
        ]

    def __str__(self) -> str:
        return self.serial
