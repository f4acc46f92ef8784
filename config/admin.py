"""The admin site's own words, and its door."""

from math import ceil

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from apikeys.addresses import client_address
from apikeys.limits import take_for_address

admin.site.site_header = "Costprism"
admin.site.site_title = "Costprism"
admin.site.index_title = "Administration"
admin.site.site_url = None  # there is no other site to view
admin.site.enable_nav_sidebar = False  # the lists are wide


def login(request: HttpRequest) -> HttpResponse:
    """The admin's login. An address that tries too often waits until the minute is over."""
    if request.method == "POST":
        now = timezone.now()
        rate = take_for_address(client_address(request), settings.LOGINS_PER_MINUTE, now)
        if not rate.allowed:
            wait = {"Retry-After": str(ceil(rate.reset - now.timestamp()))}
            text = "Too many attempts to log in. Try again in a minute.\n"
            return HttpResponse(text, "text/plain; charset=utf-8", 429, headers=wait)
    return admin.site.login(request)
