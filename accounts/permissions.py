"""The one DRF permission: each view names in `capability` what it needs, for all or for each of its actions."""

from typing import TYPE_CHECKING, Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.models import User
from accounts.roles import Capability

if TYPE_CHECKING:
    # rest_framework.views imports this module, by the name in the settings, before it defines APIView.
    from rest_framework.views import APIView


class HasCapability(BasePermission):
    """Grants what the permission matrix grants; a view that names no capability is closed to everyone."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Say whether the request's user may do this."""
        user = request.user
        if not isinstance(user, User):
            return False
        if request.method == "OPTIONS":
            return user.may(declared_capabilities(view))
        needed = needed_capability(view, request.method or "")
        # An unknown method must end as 405, which DRF only says to someone who may use the view at all.
        if needed is None and request.method not in view.allowed_methods:
            return True
        return needed is not None and user.may({needed})


class IsSignedIn(BasePermission):
    """Grants everyone with a valid token, whatever the role."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Say whether the request has a user."""
        return isinstance(request.user, User)


def declared_capabilities(view: Any) -> frozenset[Capability]:
    """Return every capability that a view asks for; whoever has one of them may ask what the view can do."""
    declared = getattr(view, "capability", None)
    if isinstance(declared, dict):
        return frozenset(declared.values())
    return frozenset({declared}) if isinstance(declared, Capability) else frozenset()


def needed_capability(view: Any, method: str) -> Capability | None:
    """Return the capability that a view's current action, or else its HTTP method, needs."""
    declared = getattr(view, "capability", None)
    if isinstance(declared, dict):
        return declared.get(getattr(view, "action", None) or method.lower())
    return declared if isinstance(declared, Capability) else None
