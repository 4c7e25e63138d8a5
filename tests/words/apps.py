from __future__ import annotations

from django.apps import AppConfig


class WordsConfig(AppConfig):
    name = "tests.words"
    label = "words"
    default_auto_field = "django.db.models.BigAutoField"
