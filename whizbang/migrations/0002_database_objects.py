"""What a product needs beside the models' tables: collations, indexes, the counter of positions."""

from django.db import migrations

from whizbang.drivers.stores import schema


class Migration(migrations.Migration):
    dependencies = [("whizbang", "0001_initial")]

    # Not atomic: MariaDB and MySQL cannot undo such statements.
    operations = [migrations.RunPython(schema.create, schema.drop, atomic=False)]
