"""Every address: the API under /api/v1/, its documentation, health, and the admin."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.routers import SimpleRouter

from accounts.views import MeView, RefreshView, RevokeView, TokenView, UserViewSet
from execution.views import CancelView, RedriveMatchingView, RedriveView, StepViewSet, TriggerStepsView
from notifyflow.health import healthz, readyz
from templates.views import PreviewView
from triggers.views import TriggerViewSet
from workflows.views import WorkflowViewSet

router = SimpleRouter()
router.register("users", UserViewSet, basename="user")
router.register("workflows", WorkflowViewSet, basename="workflow")
router.register("triggers", TriggerViewSet, basename="trigger")
router.register("steps", StepViewSet, basename="step")

api: list[URLPattern | URLResolver] = [
    path("auth/token/", TokenView.as_view(), name="token"),
    path("auth/token/refresh/", RefreshView.as_view(), name="token-refresh"),
    path("auth/token/revoke/", RevokeView.as_view(), name="token-revoke"),
    path("me/", MeView.as_view(), name="me"),
    path("templates/preview/", PreviewView.as_view(), name="template-preview"),
    path("triggers/redrive/", RedriveMatchingView.as_view(), name="trigger-redrive-matching"),
    path("triggers/<uuid:pk>/steps/", TriggerStepsView.as_view(), name="trigger-steps"),
    path("triggers/<uuid:pk>/cancel/", CancelView.as_view(), name="trigger-cancel"),
    path("triggers/<uuid:pk>/redrive/", RedriveView.as_view(), name="trigger-redrive"),
    path("", include(router.urls)),
]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("api/v1/", include(api)),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("admin/", admin.site.urls),
]

handler400 = "notifyflow.api.errors.bad_request"
handler404 = "notifyflow.api.errors.not_found"
handler500 = "notifyflow.api.errors.server_error"
