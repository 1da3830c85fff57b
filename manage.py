import os
import sys

from config import embedded

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    embedded.ensure()

    from django.core.management import execute_from_command_line

    import config.celery  # noqa: F401  commands nudge the worker through this app

    execute_from_command_line(sys.argv)
