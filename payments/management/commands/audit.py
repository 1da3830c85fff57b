from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payments.ledger import services


class Command(BaseCommand):
    help = "Checks every invariant of money, stock and promises; exit code 1 when one is broken."

    def handle(self, *args: Any, **options: Any) -> None:
        findings = services.audit()
        for finding in findings:
            self.stderr.write(finding)
        if findings:
            raise CommandError(f"{len(findings)} findings")
        self.stdout.write("账目审计通过：没有发现问题")
