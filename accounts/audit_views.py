"""The audit trail over HTTP."""

from rest_framework import mixins, viewsets

from accounts.audit_filters import AuditFilter
from accounts.audit_serializers import AuditEntrySerializer
from accounts.models import AuditEntry
from accounts.roles import Capability


class AuditViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[AuditEntry]):
    """Who did what, newest first. Entries are made by the deeds themselves, and nothing changes them."""

    capability = Capability.READ_AUDIT
    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    filterset_class = AuditFilter
