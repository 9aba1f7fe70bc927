from django.apps import AppConfig


class NotifyFlowConfig(AppConfig):
    name = "notifyflow"
