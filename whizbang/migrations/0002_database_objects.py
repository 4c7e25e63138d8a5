"""What a product needs beside the models' tables: collations, indexes, counters, triggers."""

from django.db import migrations

from whizbang.drivers.stores import protection, schema


def protect(apps, schema_editor):
    protection.protect_events(schema_editor.connection)


def unprotect(apps, schema_editor):
    protection.unprotect_events(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("whizbang", "0001_initial")]

    # Not atomic: MariaDB and MySQL cannot undo such statements.
    operations = [
        migrations.RunPython(schema.create, schema.drop, atomic=False),
        migrations.RunPython(protect, unprotect, atomic=False),
    ]
