"""The Django app that holds templates; everything else in this package is free of Django."""

from django.apps import AppConfig


class TemplatesConfig(AppConfig):
    name = "templates"
