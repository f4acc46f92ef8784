"""The admin of prices: versions, models without a price, and runs that priced events anew."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from apikeys.admin import ReadOnly
from apikeys.models import Account
from events.models import LLMModel
from events.money import plain
from events.price_models import NAME_LENGTH, Price, Repricing, Source, Unit
from events.pricing.reprice import Refused, Scope, reprice, undo
from events.pricing.unpriced import unpriced_by_model
from events.pricing.versions import add

PER_MILLION = Decimal("0.000001")
ASKED = (Unit.INPUT, Unit.OUTPUT, Unit.CACHE_READ, Unit.CACHE_WRITE, Unit.CACHE_WRITE_1H)
ADD_PRICE = "admin:events_price_add"


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]
    """The prices of a model at once, in the unit that price lists have."""

    class Meta:
        model = Price
        fields = ["account", "provider", "model", "service_tier", "context_over", "valid_from"]
        help_texts = {
            "valid_from": "UTC. Empty: from the beginning if it is the first version of a price,"
            " else from now on.",
        }

    def clean(self) -> dict[str, Any]:
        """At least one price; names that are kept in lower case."""
        for name in ("provider", "model"):
            if len(self.cleaned_data.get(name, "").lower()) > NAME_LENGTH:
                self.add_error(name, f"Longer than {NAME_LENGTH} characters in lower case.")
        if all(self.cleaned_data.get(str(unit)) is None for unit in Unit):
            raise forms.ValidationError("Enter at least one price.")
        return self.cleaned_data

    def prices(self) -> list[Price]:
        """A version for every price that was entered."""
        common = {name: self.cleaned_data[name] for name in self.Meta.fields}
        common |= {name: common[name].lower() for name in ("provider", "model")}
        return [
            Price(
                **common,
                unit=unit,
                usd_per_unit=usd if unit == Unit.REQUEST else usd * PER_MILLION,
                source=Source.ADMIN,
            )
            for unit in Unit
            if (usd := self.cleaned_data.get(str(unit))) is not None
        ]


for _unit in Unit:
    PriceForm.base_fields[str(_unit)] = forms.DecimalField(
        required=False,
        min_value=0,
        max_digits=24,
        decimal_places=18,
        label=f"{_unit.label.lower()} (USD)",
        help_text="a call" if _unit == Unit.REQUEST else "per million tokens",
    )


@admin.register(Price)
class PriceAdmin(ReadOnly):
    """Versions. They are added and never edited: the next one ends the present one."""

    list_display = [
        "provider",
        "model",
        "unit",
        "service_tier",
        "context_over",
        "per_million",
        "valid_from",
        "valid_to",
        "is_dated",
        "account",
        "source",
    ]
    list_filter = ["source", "service_tier", "unit", "is_dated", "account"]
    list_select_related = ["account"]
    search_fields = ["provider", "model"]
    ordering = ["provider", "model", "unit", "service_tier", "context_over", "valid_from"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("events.add_price")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        return super().get_form(request, obj, change, **kwargs) if obj else PriceForm

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj:
            return super().get_fieldsets(request, obj)
        rest = [str(unit) for unit in Unit if unit not in ASKED]
        return [
            (None, {"fields": PriceForm.Meta.fields}),
            ("Prices", {"fields": [str(unit) for unit in ASKED]}),
            ("Other prices", {"fields": rest, "classes": ["collapse"]}),
        ]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Open a version of each price that was entered."""
        obj.pk = add(form.prices(), timezone.now())[0].pk

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        said = "The prices hold. Events that have no cost are priced by the worker in a moment."
        self.message_user(request, said, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:events_price_changelist"))

    @admin.display(description="USD per million", ordering="usd_per_unit")
    def per_million(self, price: Price) -> str:
        if price.unit == Unit.REQUEST:
            return f"{plain(price.usd_per_unit)} a call"
        return plain(price.usd_per_unit / PER_MILLION)


class UnpricedFilter(admin.SimpleListFilter):
    title = "price"
    parameter_name = "price"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("missing", "missing")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LLMModel]) -> QuerySet[LLMModel]:
        return queryset.filter(pk__in=unpriced_by_model()) if self.value() else queryset


class Counted(ChangeList):
    """Models with their unpriced events."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        found = unpriced_by_model()
        for model in self.result_list:
            model.unpriced = found.get(model.pk)


@admin.register(LLMModel)
class LLMModelAdmin(ReadOnly):
    list_display = ["account", "provider", "model", "unpriced_events", "unpriced_tokens", "price"]
    list_display_links = None
    list_filter = [UnpricedFilter, "account"]
    list_select_related = ["account"]
    search_fields = ["provider", "model"]
    ordering = ["account__name", "provider", "model"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Counted

    @admin.display
    def unpriced_events(self, model: Any) -> int:
        return model.unpriced.events if model.unpriced else 0

    @admin.display
    def unpriced_tokens(self, model: Any) -> int:
        return model.unpriced.tokens if model.unpriced else 0

    @admin.display
    def price(self, model: Any) -> str:
        """One click to the form, filled in."""
        if not model.unpriced:
            return ""
        asked = {"account": model.account_id, "provider": model.provider, "model": model.model}
        return format_html('<a href="{}?{}">Add a price</a>', reverse(ADD_PRICE), urlencode(asked))


class ScopeForm(forms.Form):
    """Which events to price anew. Days are in UTC, both included."""

    account = forms.ModelChoiceField(Account.objects.order_by("name"), required=False)
    provider = forms.CharField(required=False)
    model = forms.CharField(required=False)
    first_day = forms.DateField(required=False)
    last_day = forms.DateField(required=False)
    only_unpriced = forms.BooleanField(required=False)
    reported = forms.BooleanField(required=False, label="Reported costs too")

    def scope(self) -> Scope:
        """The scope asked for."""
        asked = self.cleaned_data
        account, last = asked["account"], asked["last_day"]
        return Scope(
            account_id=account.pk if account else None,
            provider=asked["provider"] or None,
            model=asked["model"] or None,
            since=asked["first_day"] and _midnight(asked["first_day"]),
            until=last and _midnight(last + timedelta(days=1)),
            only_unpriced=asked["only_unpriced"],
            reported=asked["reported"],
        )


def _midnight(day: Any) -> datetime:
    return datetime.combine(day, time(), UTC)


@admin.register(Repricing)
class RepricingAdmin(ReadOnly):
    """The audit of runs; adding one is a run, shown before it is applied."""

    list_display = ["id", "account", "scope", "events", "made_by", "applied_at", "undone_at"]
    list_select_related = ["account"]
    ordering = ["-pk"]
    actions = ["undo"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("events.add_repricing")

    def has_undo_permission(self, request: HttpRequest) -> bool:
        """Who may apply may undo."""
        return self.has_add_permission(request)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Ask for the scope, show what would change, then apply it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ScopeForm(request.POST or None)
        changes = None
        if request.method == "POST" and form.is_valid():
            apply = "apply" in request.POST
            try:
                outcome = reprice(
                    form.scope(), now=timezone.now(), made_by=str(request.user), apply=apply
                )
            except Refused as refused:
                form.add_error(None, str(refused))
            else:
                if outcome.run:
                    return self._applied(request, outcome.run)
                changes = outcome.changes
        context = {
            **self.admin_site.each_context(request),
            "title": "Price events anew",
            "opts": self.opts,
            "form": form,
            "changes": changes,
        }
        return TemplateResponse(request, "admin/events/repricing/reprice.html", context)

    @admin.action(description="Undo selected runs, the latest first", permissions=["undo"])
    def undo(self, request: HttpRequest, queryset: QuerySet[Repricing]) -> None:
        """Give the events their costs back."""
        for run in queryset.order_by("-pk"):
            try:
                undo(run.pk, now=timezone.now(), made_by=str(request.user))
            except Refused as refused:
                self.message_user(request, str(refused), messages.ERROR)
            else:
                self.log_change(request, run, "Undone.")
                self.message_user(request, f"{run} is undone.", messages.SUCCESS)

    def _applied(self, request: HttpRequest, run: Repricing) -> HttpResponse:
        self.log_addition(request, run, "Applied.")
        self.message_user(request, f"{run}: {run.events} events priced anew.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:events_repricing_changelist"))
