from __future__ import annotations

from django.db import models


class WordCount(models.Model):
    """How often a word was said, and a sum that tells whether it was counted in order."""

    word = models.CharField(max_length=40, primary_key=True)
    count = models.IntegerField(default=0)
    trail = models.BigIntegerField(default=0)
    is_cured = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.word


class SpeakerCount(models.Model):
    speaker = models.CharField(max_length=40, primary_key=True)
    count = models.IntegerField(default=0)
    trail = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.speaker
