"""What the calls about triggers and dead letters refuse alike."""

from rest_framework import status
from rest_framework.exceptions import APIException


class TriggerConflict(APIException):
    """409: the trigger does not stand where this could be done."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
