"""What gunicorn serves: `web.wsgi:app`, made in each process after the fork."""

from __future__ import annotations

from sensus import logs, settings
from web.app import create_app

_settings = settings.current()
logs.configure(_settings.log_level, _settings.log_format)
app = create_app(_settings)
