"""What every admin page stands on: unfold's looks, the permission matrix's rules, lists that stay cheap.

Django's own model permissions play no part here: what a role may do is in `accounts.roles` alone, and being a
superuser opens nothing that the matrix denies.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from django.contrib.admin import ShowFacets
from django.contrib.admin.filters import SimpleListFilter
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from accounts.admin_lists import BoundedPaginator
from accounts.models import User
from accounts.roles import IN_THE_ADMIN, Capability

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    # unfold carries no types; its ModelAdmin is Django's in another dress.
    from django.contrib.admin import ModelAdmin
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.admin import ModelAdmin as UnfoldAdmin
    from unfold.views import ChangeList

    class ModelAdmin(UnfoldAdmin, Generic[M]):
        """unfold's ModelAdmin, which can be written with the model it is for."""


def may(request: HttpRequest, *capabilities: Capability) -> bool:
    """Say whether whoever asks has one of these capabilities."""
    return isinstance(request.user, User) and request.user.may(capabilities)


def may_enter(request: HttpRequest) -> bool:
    """Say whether whoever asks finds a page here at all; a machine never does, whatever its role."""
    return may(request, *IN_THE_ADMIN) and not (isinstance(request.user, User) and request.user.is_service)


class ConsoleChangeList(ChangeList):
    """A list that an address can sort by the columns of `sortable_by` alone, where Django takes any."""

    def get_ordering_field(self, field_name: Any) -> Any:
        """Return what to sort by, or None for a column that is not to be sorted by."""
        if self.sortable_by is not None and field_name not in self.sortable_by:
            return None
        return super().get_ordering_field(field_name)


class ConsoleAdmin(ModelAdmin[M]):
    """Pages of a model for those who have a capability of `readable_with`; written with one of `writable_with`.

    Filters are named in `list_filter` as classes; nothing else can be looked up by address, so that nobody has ten
    million rows scanned by typing one.
    """

    readable_with: ClassVar[frozenset[Capability]]
    writable_with: ClassVar[frozenset[Capability]] = frozenset()

    list_per_page = 50
    list_disable_select_all = True
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Say whether the model is shown in the navigation."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Say whether the pages can be read."""
        return may(request, *self.readable_with)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say whether a row can be made."""
        return may(request, *self.writable_with)

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Say whether a row can be changed."""
        return may(request, *self.writable_with)

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Say whether a row can be deleted."""
        return may(request, *self.writable_with)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return ConsoleChangeList

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list. Raises BadRequest for a parameter with NUL, which PostgreSQL refuses even to look for."""
        if any("\x00" in str(value) for _, values in request.GET.lists() for value in values):
            raise BadRequest("A parameter holds the character NUL.")
        return super().get_changelist_instance(request)

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | None:
        """Do what was chosen with a selection.

        Raises BadRequest for ids that are none, where Django fails, and for a whole list, which no page offers.
        """
        if request.POST.get("select_across", "0") != "0":
            raise BadRequest("A whole list can't be selected.")
        try:
            for chosen in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.to_python(chosen)
        except ValidationError:
            raise BadRequest("The selection holds what is no id.") from None
        return super().response_action(request, *args, **kwargs)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the actions on a selection, without the deletion that asks no service."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Say whether the address may narrow the list by `lookup`: by the filters shown, by nothing else."""
        return any(
            issubclass(each, SimpleListFilter) and each.parameter_name == lookup
            for each in self.get_list_filter(request)
            if isinstance(each, type)
        )


class ReadOnlyAdmin(ConsoleAdmin[M]):
    """Pages of what the engine owns: read by those who may, written by nobody."""

    writable_with: ClassVar[frozenset[Capability]] = frozenset()
