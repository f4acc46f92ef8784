"""The admin site's own words."""

from django.contrib import admin

admin.site.site_header = "Costprism"
admin.site.site_title = "Costprism"
admin.site.index_title = "Administration"
admin.site.site_url = None  # there is no other site to view
admin.site.enable_nav_sidebar = False  # the lists are wide
