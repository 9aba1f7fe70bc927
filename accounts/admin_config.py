"""Which site the admin is; named in INSTALLED_APPS in the place of Django's own, so that no page comes from another."""

from django.contrib.admin.apps import AdminConfig


class ConsoleAdminConfig(AdminConfig):
    """Django's admin with this project's doors."""

    default_site = "accounts.admin_site.ConsoleSite"
