"""Query parameters, read from the address with every fault named at once."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from apikeys.problems import Problem


class Address(serializers.Serializer[Any]):
    """The parameters of an address; this one has none."""


def read_params(kind: type[Address], request: Request) -> dict[str, Any]:
    """The request's parameters, checked. Raises Problem 400 that lists every fault."""
    checked, faults = check_params(kind, request)
    refuse(faults)
    return checked


def check_params(
    kind: type[Address], request: Request, also: Iterable[str] = ()
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The parameters that are good, and every fault. `also` names parameters read elsewhere."""
    params = kind(data=request.query_params.dict())
    faults = [*_unknown(request, {*params.fields, *also}), *_repeated(request)]
    if params.is_valid():
        return params.validated_data, faults
    return {}, faults + [
        fault(name, error.code, str(error))
        for name, errors in params.errors.items()
        for error in errors
    ]


def refuse(faults: list[dict[str, str]]) -> None:
    """Raises Problem 400 if there are any."""
    if faults:
        names = ", ".join(dict.fromkeys(f"`{fault['parameter']}`" for fault in faults))
        raise Problem(400, f"Bad parameters: {names}.", errors=faults)


def fault(parameter: str, code: str, detail: str) -> dict[str, str]:
    """One entry of the `errors` of a bad request."""
    return {"parameter": parameter, "code": code, "detail": detail}


def _unknown(request: Request, known: Collection[str]) -> Iterator[dict[str, str]]:
    """A fault for every parameter that the endpoint does not have."""
    for name in request.query_params:
        if name not in known:
            yield fault(name, "unknown_parameter", f"Unknown parameter `{name}`.")


def _repeated(request: Request) -> Iterator[dict[str, str]]:
    """A fault for every parameter that is given twice: which one is meant cannot be known."""
    for name, values in request.query_params.lists():
        if len(values) > 1:
            yield fault(name, "repeated", f"Give `{name}` once.")
