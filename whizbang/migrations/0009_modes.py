from django.db import migrations, models

from whizbang.drivers.stores import schema


class Migration(migrations.Migration):
    dependencies = [("whizbang", "0008_services")]

    operations = [
        migrations.AddField(
            model_name="inboxmessage",
            name="priority",
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
        migrations.RemoveIndex(model_name="inboxmessage", name="whizbang_inbox_due"),
        migrations.AddIndex(
            model_name="inboxmessage",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", True)),
                fields=["service", "priority", "available_at", "id"],
                name="whizbang_inbox_due",
            ),
        ),
        migrations.AddField(
            model_name="inboxmessage",
            name="token_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name="outboxmessage",
            index=models.Index(
                condition=models.Q(("published_at__isnull", False)),
                fields=["published_at"],
                name="whizbang_outbox_sent",
            ),
        ),
        migrations.CreateModel(
            name="RateLimit",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("service", models.CharField(max_length=100)),
                ("type", models.CharField(max_length=200)),
                ("next_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "rate limit",
                "verbose_name_plural": "rate limits",
                "db_table": "whizbang_rate_limit",
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("type", "service"), name="whizbang_rate_limit_once"
                    )
                ],
            },
        ),
        migrations.RunPython(
            schema.compare_exactly("RateLimit"), migrations.RunPython.noop, atomic=False
        ),
        migrations.RunPython(schema.create_for_modes, schema.drop_for_modes, atomic=False),
    ]
