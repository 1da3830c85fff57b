"""The web process: the API and the admin."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

import config.celery  # noqa: F401  requests nudge the worker through this app
from config import embedded
from config.kit.calm import settled
from config.kit.reception import Reception

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded.ensure()
application = Reception(get_wsgi_application())
get_resolver().url_patterns  # noqa: B018  loads them now, not with the first request
settled()
