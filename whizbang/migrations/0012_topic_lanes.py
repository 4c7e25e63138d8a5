from django.db import migrations, models

from whizbang.drivers.stores.schema import compare_exactly


class Migration(migrations.Migration):
    dependencies = [
        ("whizbang", "0011_sagas"),
    ]

    operations = [
        # Its key was the domain. What it forgets is the last event that was published: whether there is a gap
        # behind that one, nobody notices.
        migrations.DeleteModel(name="PublishedTopic"),
        migrations.CreateModel(
            name="PublishedTopic",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("domain", models.CharField(max_length=100)),
                ("lane", models.CharField(blank=True, default="", max_length=100)),
                ("position", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "published topic",
                "verbose_name_plural": "published topics",
                "db_table": "whizbang_published_topic",
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("domain", "lane"), name="whizbang_published_topic_once"
                    )
                ],
            },
        ),
        migrations.RemoveConstraint(
            model_name="receivedtopic",
            name="whizbang_received_topic_once",
        ),
        migrations.AddField(
            model_name="receivedtopic",
            name="lane",
            field=models.CharField(blank=True, default="", max_length=100),
        ),
        migrations.AddConstraint(
            model_name="receivedtopic",
            constraint=models.UniqueConstraint(
                fields=("service", "domain", "lane"), name="whizbang_received_topic_once"
            ),
        ),
        migrations.RunPython(
            compare_exactly("PublishedTopic", "ReceivedTopic"),
            migrations.RunPython.noop,
            atomic=False,
        ),
    ]
