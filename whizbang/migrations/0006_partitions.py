"""Checkpoints move from subscriptions to their partitions; keys can be parked, not only streams."""

from django.db import migrations, models

from whizbang.drivers.stores.schema import compare_exactly


def copy_checkpoints(apps, schema_editor):
    using = schema_editor.connection.alias
    Partition = apps.get_model("whizbang", "Partition")
    found = apps.get_model("whizbang", "Subscription").objects.using(using)
    Partition.objects.using(using).bulk_create(
        [
            Partition(subscription=name, position=position, epoch=epoch)
            for name, position, epoch in found.values_list("name", "position", "epoch")
        ],
        batch_size=200,
    )


def copy_back(apps, schema_editor):
    using = schema_editor.connection.alias
    rows = apps.get_model("whizbang", "Subscription").objects.using(using)
    partitions = apps.get_model("whizbang", "Partition").objects.using(using)
    split = partitions.filter(first_slice__gt=0).values_list("subscription", flat=True)
    if names := sorted(set(split)):
        raise RuntimeError(f"Merge the partitions of {', '.join(names)} before you migrate back.")
    for name, position, epoch in partitions.values_list("subscription", "position", "epoch"):
        rows.filter(name=name).update(position=position, epoch=epoch)


def refuse_parked_keys(apps, schema_editor):
    using = schema_editor.connection.alias
    parked = apps.get_model("whizbang", "ParkedStream").objects.using(using)
    skipped = apps.get_model("whizbang", "SkippedEvent").objects.using(using)
    if parked.exclude(unit="stream", first_slice=0).exists() or skipped.exclude(key="").exists():
        raise RuntimeError(
            "Keys are parked or were skipped, which the code before does not know: retry what is parked, "
            "delete the rows of skipped keys, and migrate back then."
        )


class Migration(migrations.Migration):
    dependencies = [("whizbang", "0005_repair")]

    operations = [
        migrations.CreateModel(
            name="Partition",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("subscription", models.CharField(max_length=200)),
                ("first_slice", models.SmallIntegerField(default=0)),
                ("end_slice", models.SmallIntegerField(default=1024)),
                ("split_by", models.CharField(blank=True, default="", max_length=10)),
                ("position", models.BigIntegerField(default=0)),
                ("epoch", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "verbose_name": "partition",
                "verbose_name_plural": "partitions",
                "db_table": "whizbang_partition",
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("subscription", "first_slice"), name="whizbang_partition_once"
                    )
                ],
            },
        ),
        # Not atomic: MariaDB and MySQL cannot undo such statements.
        migrations.RunPython(
            compare_exactly("Partition", "SkippedEvent"), migrations.RunPython.noop, atomic=False
        ),
        migrations.RunPython(copy_checkpoints, copy_back),
        migrations.RemoveField(model_name="subscription", name="position"),
        migrations.RemoveField(model_name="subscription", name="epoch"),
        migrations.AddField(
            model_name="parkedstream",
            name="unit",
            field=models.CharField(
                choices=[("stream", "stream"), ("key", "key")], default="stream", max_length=10
            ),
        ),
        migrations.AddField(
            model_name="parkedstream",
            name="key",
            field=models.CharField(blank=True, default="", max_length=255),
        ),
        migrations.AddField(
            model_name="parkedstream",
            name="first_slice",
            field=models.SmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="parkedstream",
            name="end_slice",
            field=models.SmallIntegerField(default=1024),
        ),
        migrations.RemoveConstraint(model_name="parkedstream", name="whizbang_parked_once"),
        migrations.AddConstraint(
            model_name="parkedstream",
            constraint=models.UniqueConstraint(
                fields=("subscription", "unit", "stream", "key", "first_slice"),
                name="whizbang_parked_once",
            ),
        ),
        migrations.AddField(
            model_name="skippedevent",
            name="key",
            field=models.CharField(blank=True, default="", max_length=255),
        ),
        migrations.RemoveConstraint(model_name="skippedevent", name="whizbang_skipped_once"),
        migrations.AddConstraint(
            model_name="skippedevent",
            constraint=models.UniqueConstraint(
                fields=("subscription", "position", "key"), name="whizbang_skipped_once"
            ),
        ),
        migrations.RunPython(migrations.RunPython.noop, refuse_parked_keys),
    ]
