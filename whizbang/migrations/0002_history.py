from django.db import migrations, models

from whizbang.drivers.stores.protection import protect_events, unprotect_events


def protect(apps, schema_editor):
    protect_events(schema_editor.connection)


def unprotect(apps, schema_editor):
    unprotect_events(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("whizbang", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="HistoryChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("operation", models.CharField(max_length=100)),
                ("reason", models.TextField()),
                ("user", models.CharField(blank=True, default="", max_length=150)),
                ("changed_rows", models.BigIntegerField(default=0)),
                ("open_in", models.CharField(max_length=64, null=True)),
                ("began_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "change of history",
                "verbose_name_plural": "changes of history",
                "db_table": "whizbang_history_change",
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("open_in",), name="whizbang_history_change_open"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Snapshot",
            fields=[
                ("stream", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("version", models.IntegerField()),
                ("fingerprint", models.CharField(max_length=64)),
                ("state", models.BinaryField()),
                ("taken_at", models.DateTimeField()),
            ],
            options={"db_table": "whizbang_snapshot", "default_permissions": ()},
        ),
        migrations.RunPython(protect, unprotect),
    ]
