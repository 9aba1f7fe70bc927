"""By what users can be listed."""

import django_filters

from accounts.api_filters import YesOrNoFilter
from accounts.models import User
from accounts.roles import Role


class UserFilter(django_filters.FilterSet):
    """Filters of `GET users/`."""

    username = django_filters.CharFilter()
    role = django_filters.ChoiceFilter(choices=[(role.value, role.value) for role in Role])
    is_active = YesOrNoFilter()
    is_service = YesOrNoFilter()

    class Meta:
        model = User
        fields: list[str] = []
