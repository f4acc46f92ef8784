"""The web application, for `manage.py serve` and any other WSGI server."""

import atexit
import os

from django.core.wsgi import get_wsgi_application

from config.pools import disconnect

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
atexit.register(disconnect)
