import zlib

from django.db import migrations, models

# As in whizbang/messaging/lanes.py, which may be gone when this runs.
LANES = 8
CHUNK = 500


def lane_of(key):
    return zlib.crc32(key.encode()) % LANES


def place_what_has_an_order(apps, schema_editor):
    """Unsent messages of one ordering key get the lane that later ones have. Others may stay in the first."""
    using = schema_editor.connection.alias
    rows = apps.get_model("whizbang", "OutboxMessage").objects.using(using)
    unsent = rows.filter(published_at__isnull=True, ordering_key__isnull=False).order_by("pk")
    last = 0
    while chunk := list(unsent.filter(pk__gt=last).only("pk", "ordering_key")[:CHUNK]):
        for row in chunk:
            row.lane = lane_of(row.ordering_key)
        rows.bulk_update(chunk, ["lane"])
        last = chunk[-1].pk


class Migration(migrations.Migration):
    dependencies = [
        ("whizbang", "0013_console"),
    ]

    operations = [
        migrations.AddField(
            model_name="outboxmessage",
            name="lane",
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddIndex(
            model_name="outboxmessage",
            index=models.Index(fields=["message_id"], name="whizbang_outbox_message"),
        ),
        migrations.RunPython(place_what_has_an_order, migrations.RunPython.noop),
    ]
