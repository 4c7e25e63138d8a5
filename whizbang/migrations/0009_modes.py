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
        migrations.RunPython(schema.index_priorities, migrations.RunPython.noop, atomic=False),
    ]
