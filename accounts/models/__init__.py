"""Users, what they hold to prove who they are, and what they did."""

from accounts.models.api_key import ApiKey
from accounts.models.audit_entry import AuditEntry
from accounts.models.token_family import TokenFamily
from accounts.models.user import User

__all__ = ["ApiKey", "AuditEntry", "TokenFamily", "User"]
