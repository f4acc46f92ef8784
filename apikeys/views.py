"""The base of every API view, and `GET /v1/me`."""

from typing import Any, ClassVar

from django.utils import timezone
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import limits
from apikeys.authentication import Credential
from apikeys.models import Account
from apikeys.params import Address, read_params


class AccountView(APIView):
    """A view that acts for one account: authenticated, counted, scoped — in this order.

    Counting comes before the scope check so that every authenticated answer, also a 403, carries
    the rate-limit headers.
    """

    scopes: ClassVar[dict[str, str]] = {"GET": "read"}

    @property
    def account(self) -> Account:
        """The account of the key: the only one that this request may see."""
        assert isinstance(self.request.auth, Credential)
        return self.request.auth.account

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.perform_authentication(request)
        self.count_request(request)
        super().initial(request, *args, **kwargs)

    def count_request(self, request: Request) -> None:
        """Raises Throttled when the account's minute is used up."""
        now = timezone.now()
        self.rate = limits.take(self.account.pk, self.account.rate_limit, now)
        if not self.rate.allowed:
            raise Throttled(wait=max(1, self.rate.reset - now.timestamp()))

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        if hasattr(self, "rate"):
            for name, value in self.rate.headers.items():
                response[name] = value
        return response


class MeView(AccountView):
    """The account that the key belongs to."""

    def get(self, request: Request) -> Response:
        read_params(Address, request)
        account = self.account
        return Response(
            {
                "id": account.public_id,
                "email": account.email,
                "name": account.name,
                "company": account.company,
                "plan": account.plan,
                "created_at": account.created_at,
            }
        )
