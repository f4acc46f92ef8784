"""The account that a command works for."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from apikeys.models import Account


def find_or_make_account(name: str, **fields: Any) -> tuple[Account, bool]:
    """The account called `name`, and whether it is new: then it was made with `fields`.

    Raises CommandError for a value that an account cannot have.
    """
    if name and not (name.strip() and name.isprintable()):
        raise CommandError("account name: it must be readable text.")
    account = Account.objects.filter(name=name).first()
    if account is not None:
        return account, False
    try:
        Account(name=name, **fields).full_clean(validate_unique=False)
    except ValidationError as error:
        faults = (
            f"account {field}: {' '.join(said)}" for field, said in error.message_dict.items()
        )
        raise CommandError("; ".join(faults)) from error
    return Account.objects.get_or_create(name=name, defaults=fields)
