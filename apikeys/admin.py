"""The admin of accounts and keys, and the two kinds of admin that the other houses build on."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db import DataError, transaction
from django.db.models import Case, Count, QuerySet, Value, When
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import rotate_token
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from apikeys.models import Account, APIKey, Scope, issue_key

LARGEST_INTEGER = 2**31 - 1
KEY_FACTS = ["account", "allowed", "state", "created_at", "expires_at", "last_used_at"]


class Kept(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that facts name: they are never deleted."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Django lets a NUL in a filter reach the database, which refuses it: a 500."""
        try:
            return super().get_changelist_instance(request)
        except (DataError, ValueError) as error:
            raise IncorrectLookupParameters from error

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnly(Kept):
    """Rows to look at: the API alone writes them."""

    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    requests_per_minute = forms.IntegerField(
        min_value=1,
        max_value=LARGEST_INTEGER,
        initial=Account._meta.get_field("requests_per_minute").default,
        help_text="Counts on the enterprise plan; the other plans have limits of their own.",
    )


@admin.register(Account)
class AccountAdmin(Kept):
    form = AccountForm
    fields = ["name", "email", "company", "plan", "requests_per_minute", "retention_days"]
    list_display = ["name", "plan", "limit", "keys", "created_at"]
    search_fields = ["name", "email", "company", "public_id"]
    ordering = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        accounts: QuerySet[Account] = super().get_queryset(request)
        return accounts.annotate(key_count=Count("keys"))

    @admin.display(description="requests a minute")
    def limit(self, account: Account) -> int:
        return account.rate_limit

    @admin.display(ordering="key_count")
    def keys(self, account: Any) -> str:
        url = reverse("admin:apikeys_apikey_changelist")
        return format_html(
            '<a href="{}?account__id__exact={}">{}</a>', url, account.pk, account.key_count
        )


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in ("live", "expired", "revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class NewKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        initial=[Scope.INGEST, Scope.READ],
        widget=forms.CheckboxSelectMultiple,
    )

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= timezone.now():
            raise forms.ValidationError("This is in the past; times are UTC.")
        return expires_at


@admin.register(APIKey)
class APIKeyAdmin(Kept):
    """A key is shown in the answer to the form that makes it, and never again.

    Not after a redirect, as is usual: until then it would lie in the session or in a cookie.
    """

    list_display = ["key", "name", *KEY_FACTS]
    fields = ["key", "name", *KEY_FACTS, "revoked_at"]
    new_fields = ["account", "name", "scopes", "expires_at"]
    list_filter = [StateFilter, "account"]
    list_select_related = ["account"]
    search_fields = ["prefix__startswith", "name", "account__name"]
    search_help_text = "The beginning of a key (up to 11 characters), a name, or an account."
    autocomplete_fields = ["account"]
    ordering = ["-created_at", "-pk"]
    actions = ["revoke"]

    class Media:
        css = {"all": ["apikeys/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[APIKey]:
        state = Case(
            When(revoked_at__isnull=False, then=Value("revoked")),
            When(expires_at__lte=Now(), then=Value("expired")),
            default=Value("live"),
        )
        keys: QuerySet[APIKey] = super().get_queryset(request)
        return keys.annotate(state=state)

    @admin.display(ordering="prefix")
    def key(self, key: APIKey) -> str:
        return f"{key.prefix}…"

    @admin.display(description="scopes")
    def allowed(self, key: APIKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(ordering="state")
    def state(self, key: Any) -> str:
        return str(key.state)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj else self.new_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["key", *KEY_FACTS, "revoked_at"] if obj else []

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        if obj is None:
            kw["form"] = NewKeyForm
        return super().get_form(request, obj, change, **kw)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kw: Any) -> Any:
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context | one_button, *args, **kw)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=["name"])
            return
        made, obj.shown_once = issue_key(
            obj.account, name=obj.name, scopes=obj.scopes, expires_at=obj.expires_at
        )
        obj.pk, obj.prefix = made.pk, made.prefix

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the key. Every page of the admin is `no-store`, so no cache keeps it."""
        rotate_token(request)  # so that reloading this page is refused, and makes no second key
        context = {
            **self.admin_site.each_context(request),
            "title": "The key was made",
            "opts": self.opts,
            "key": obj,
            "next_url": reverse("admin:apikeys_apikey_change", args=[obj.pk]),
        }
        return TemplateResponse(request, "admin/apikeys/apikey/issued.html", context)

    @admin.action(description="Revoke selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> HttpResponse | None:
        """Ask, as it cannot be undone; then revoke those that are not revoked yet."""
        if "confirmed" not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "title": "Revoke keys",
                "opts": self.opts,
                "keys": queryset,
            }
            return TemplateResponse(request, "admin/apikeys/apikey/revoke.html", context)
        with transaction.atomic():
            keys = list(queryset.filter(revoked_at=None).select_for_update(of=["self"]))
            for key in keys:
                key.revoked_at = timezone.now()
                key.save(update_fields=["revoked_at"])
                self.log_change(request, key, "Revoked.")
        self.message_user(request, f"Keys revoked: {len(keys)}.", messages.SUCCESS)
        return None
