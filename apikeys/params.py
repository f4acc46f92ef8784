"""Query parameters, read from the address with every fault named at once."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.fields import SkipField, empty
from rest_framework.request import Request

from apikeys.problems import Problem

Checked = dict[str, Any]
Fault = dict[str, str]
AnyField = serializers.Field[Any, Any, Any, Any]


class Several:
    """Marks a field that reads the list of its parameter's values: it may be given repeatedly."""


class Address(serializers.Serializer[Any]):
    """The parameters of an address; this one has none.

    Fields are read one by one, not by is_valid(), so that what is wrong between two parameters is
    told together with what is wrong with a third.
    """

    def meant(self, given: QueryDict) -> Mapping[str, AnyField]:
        """The fields that count, by what else is given; the others are known, but not read."""
        return self.fields

    def faults_between(self, good: Checked) -> Iterator[Fault]:
        """What is wrong between parameters; `good` holds those that are right by themselves."""
        yield from ()

    def complete(self, good: Checked) -> Checked:
        """The parameters with what follows from them, once all are right."""
        return good


def read_params(kind: type[Address], request: Request) -> Checked:
    """The request's parameters, checked. Raises Problem 400 that lists every fault."""
    checked, faults = check_params(kind, request)
    refuse(faults)
    return checked


def check_params(
    kind: type[Address], request: Request, also: Iterable[str] = ()
) -> tuple[Checked, list[Fault]]:
    """The parameters, and every fault in them. `also` names parameters read elsewhere."""
    address = kind()
    faults = [*_unknown(request, {*address.fields, *also}), *_repeated(request, address)]
    good: Checked = {}
    for name, field in address.meant(request.query_params).items():
        try:
            good[name] = field.run_validation(_given(request.query_params, name, field))
        except SkipField:  # left out, and may be
            pass
        except serializers.ValidationError as error:
            faults.append(fault(name, *code_and_detail(error)))
    faults += address.faults_between(good)
    return good if faults else address.complete(good), faults


def refuse(faults: list[dict[str, str]]) -> None:
    """Raises Problem 400 if there are any."""
    if faults:
        names = ", ".join(dict.fromkeys(f"`{fault['parameter']}`" for fault in faults))
        raise Problem(400, f"Bad parameters: {names}.", errors=faults)


def code_and_detail(error: serializers.ValidationError) -> tuple[str, str]:
    """What a field has to say: the first of its faults."""
    assert isinstance(error.detail, list)
    first = error.detail[0]
    assert isinstance(first, ErrorDetail)
    return first.code or "invalid", str(first)


def fault(parameter: str, code: str, detail: str) -> dict[str, str]:
    """One entry of the `errors` of a bad request."""
    return {"parameter": parameter, "code": code, "detail": detail}


def _given(params: QueryDict, name: str, field: AnyField) -> Any:
    """What a field has to read: the text of its parameter, all of them for Several."""
    if name not in params:
        return empty
    return params.getlist(name) if isinstance(field, Several) else params[name]


def _unknown(request: Request, known: Collection[str]) -> Iterator[dict[str, str]]:
    """A fault for every parameter that the endpoint does not have."""
    for name in request.query_params:
        if name not in known:
            yield fault(name, "unknown_parameter", f"Unknown parameter `{name}`.")


def _repeated(request: Request, address: Address) -> Iterator[dict[str, str]]:
    """A fault for every parameter that is given twice: which one is meant cannot be known."""
    for name, values in request.query_params.lists():
        if len(values) > 1 and not isinstance(address.fields.get(name), Several):
            yield fault(name, "repeated", f"Give `{name}` once.")
