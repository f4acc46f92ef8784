"""`PATCH /v1/analytics/anomalies/{id}`: a person's word on an anomaly."""

import re
from typing import Any, ClassVar

import msgspec
from django.db import transaction
from django.http import Http404
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.anomalies.answers import anomaly_row
from analytics.models import Anomaly, AnomalyStatus
from apikeys.authentication import Credential
from apikeys.params import Address, read_params
from apikeys.problems import Problem
from apikeys.views import AccountView

MAX_BYTES = 1000
WORDS = ", ".join(AnomalyStatus.values)


class AnomalyView(AccountView):
    """Resolve, dismiss or reopen."""

    scopes: ClassVar[dict[str, str]] = {"PATCH": "manage"}

    def patch(self, request: Request, anomaly_id: str) -> Response:
        read_params(Address, request)
        status = read_status(request._request.read(MAX_BYTES + 1))
        with transaction.atomic():
            anomaly = self._find(anomaly_id)
            anomaly.set_status(status, _who(request), timezone.now())
        return Response(anomaly_row(anomaly))

    def _find(self, anomaly_id: str) -> Anomaly:
        """Locked, so that a pass does not change it meanwhile. Raises Http404."""
        number = re.fullmatch(r"anomaly_([1-9]\d{0,17})", anomaly_id, re.ASCII)
        if number is None:
            raise Http404
        ours = Anomaly.objects.filter(account_id=self.account.pk).select_related("entity")
        anomaly = ours.select_for_update(of=["self"]).filter(pk=int(number[1])).first()
        if anomaly is None:
            raise Http404
        return anomaly


def read_status(raw: bytes) -> str:
    """The status that a body asks for. Raises Problem 400 or 422, naming every fault."""
    if len(raw) > MAX_BYTES:
        raise Problem(413, f"This body has at most {MAX_BYTES} bytes.")
    try:
        sent = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"The body is not JSON: {error}.") from error
    if not isinstance(sent, dict):
        sent = {}
    faults = [_fault(name, "unknown_field", "Unknown field.") for name in sent.keys() - {"status"}]
    if "status" not in sent:
        faults.append(_fault("status", "required", "This field is required."))
    elif sent["status"] not in AnomalyStatus.values:
        faults.append(_fault("status", "invalid_choice", f"Use one of {WORDS}."))
    if faults:
        raise Problem(422, 'Send {"status": …}.', errors=sorted(faults, key=str))
    return str(sent["status"])


def _fault(name: str, code: str, detail: str) -> dict[str, Any]:
    pointer = name.replace("~", "~0").replace("/", "~1")
    return {"pointer": f"/{pointer}", "code": code, "detail": detail}


def _who(request: Request) -> str:
    assert isinstance(request.auth, Credential)
    key = request.auth.key
    return f"key {key.prefix}… {key.name}".rstrip()
