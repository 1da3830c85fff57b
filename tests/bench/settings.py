"""The product's own settings, with the limits' views beside its URLs."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench.urls"
