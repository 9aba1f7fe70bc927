"""Every address: the API under /api/v1/, its documentation, health, and the admin."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from accounts.api_key_views import ApiKeyViewSet
from accounts.audit_views import AuditViewSet
from accounts.views import MeView, RefreshView, RevokeView, TokenView, UserViewSet
from execution.dead_letter_views import DeadLetterViewSet
from execution.views import (
    CancelMatchingView,
    CancelView,
    ProcessView,
    RedriveMatchingView,
    RedriveView,
    StepViewSet,
    TriggerStepsView,
)
from notifyflow.api.schema_view import SchemaView
from notifyflow.health import healthz, readyz
from templates.views import PreviewView
from triggers.bulk.views import BulkViewSet
from triggers.views import TriggerViewSet
from workflows.views import WorkflowViewSet

router = SimpleRouter()
router.register("users", UserViewSet, basename="user")
router.register("workflows", WorkflowViewSet, basename="workflow")
router.register("triggers", TriggerViewSet, basename="trigger")
router.register("steps", StepViewSet, basename="step")
router.register("dead-letters", DeadLetterViewSet, basename="dead-letter")
router.register("audit", AuditViewSet, basename="audit")

api: list[URLPattern | URLResolver] = [
    path("auth/token/", TokenView.as_view(), name="token"),
    path("auth/token/refresh/", RefreshView.as_view(), name="token-refresh"),
    path("auth/token/revoke/", RevokeView.as_view(), name="token-revoke"),
    path("me/", MeView.as_view(), name="me"),
    path("templates/preview/", PreviewView.as_view(), name="template-preview"),
    path("triggers/bulk/", BulkViewSet.as_view({"get": "list", "post": "create"}), name="trigger-bulk"),
    path("triggers/bulk/<uuid:pk>/", BulkViewSet.as_view({"get": "retrieve"}), name="trigger-bulk-detail"),
    path("triggers/cancel/", CancelMatchingView.as_view(), name="trigger-cancel-matching"),
    path("triggers/redrive/", RedriveMatchingView.as_view(), name="trigger-redrive-matching"),
    path("users/<uuid:user_id>/keys/", ApiKeyViewSet.as_view({"get": "list", "post": "create"}), name="user-keys"),
    path("users/<uuid:user_id>/keys/<uuid:pk>/", ApiKeyViewSet.as_view({"delete": "destroy"}), name="user-key"),
    path("triggers/<uuid:pk>/steps/", TriggerStepsView.as_view(), name="trigger-steps"),
    path("triggers/<uuid:pk>/cancel/", CancelView.as_view(), name="trigger-cancel"),
    path("triggers/<uuid:pk>/redrive/", RedriveView.as_view(), name="trigger-redrive"),
    path("triggers/<uuid:pk>/process/", ProcessView.as_view(), name="trigger-process"),
    path("", include(router.urls)),
]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("api/v1/", include(api)),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("admin/", admin.site.urls),
]

handler400 = "notifyflow.api.errors.bad_request"
handler404 = "notifyflow.api.errors.not_found"
handler500 = "notifyflow.api.errors.server_error"
