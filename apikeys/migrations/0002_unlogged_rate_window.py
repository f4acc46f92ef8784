"""Rate counts need not survive a crash, so they need not be written ahead."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE apikeys_ratewindow SET UNLOGGED, SET (fillfactor = 50)",
            "ALTER TABLE apikeys_ratewindow SET LOGGED, RESET (fillfactor)",
        )
    ]
