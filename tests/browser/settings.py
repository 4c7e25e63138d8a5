"""The example shop as a browser sees it in these tests: an SQLite file of its own, a strict policy, no secrets.

EXAMPLE_VAR says in which folder the file stands.
"""

from __future__ import annotations

import os

os.environ["EXAMPLE_DATABASE"] = "sqlite"
os.environ["EXAMPLE_SECRET_KEY"] = "for the tests only"
os.environ["EXAMPLE_FAILURES"] = "out_of_stock=0.02,declined=0.03,unanswered=0.01,cancelled=0.02"

from projects.example.settings import *  # noqa: F403
from projects.example.settings import MIDDLEWARE, WHIZBANG

MIDDLEWARE = ["tests.browser.policy.ContentSecurityPolicy", *MIDDLEWARE]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WHIZBANG = {**WHIZBANG, "MAX_ATTEMPTS": 2}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR"}},
}
