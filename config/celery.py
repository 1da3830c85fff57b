"""The worker and beat processes, and the app through which every process starts background work."""

import os
from pathlib import Path

from celery import Celery

from config import embedded
from config.schedule import SCHEDULE

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ["config", "payments", "members", "shop", "livestream"]

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded.ensure()


def packages_with_tasks() -> list[str]:
    """Our apps are four; their tasks live in the packages inside, so the files are looked for."""
    files = (file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("tasks.py")))
    return [".".join(file.parent.relative_to(ROOT).parts) for file in files]


app = Celery("siyu")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = SCHEDULE
app.autodiscover_tasks(packages_with_tasks())
