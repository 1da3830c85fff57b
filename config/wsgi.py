"""The web process: the API and the admin."""

import os

from django.core.wsgi import get_wsgi_application

import config.celery  # noqa: F401  requests nudge the worker through this app
from config import embedded
from config.kit.reception import Reception

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded.ensure()
application = Reception(get_wsgi_application())
