"""The second surface: its one view, and its addresses."""

from django.urls import URLPattern, path
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.v2.questions import QUESTIONS, Question
from analytics.v2.subjects import Asked
from apikeys.params import read_params
from apikeys.problems import Problem
from apikeys.views import AccountView
from events.snapshot import snapshot


class QuestionView(AccountView):
    """Answers the question of its address in the surface's envelope."""

    question: Question = QUESTIONS[0]  # any: each address has its own

    def get(self, request: Request) -> Response:
        question, now = self.question, timezone.now()
        if question.answer is None:
            raise Problem(501, question.lacks)
        params = read_params(question.params, request)
        asked = Asked(self.account.pk, question.subject, params, now)
        with snapshot():
            data = {question.key: question.answer(asked)}
        return Response({"success": True, "message": question.message, "data": data})


def _addresses(question: Question) -> list[URLPattern]:
    """With the slash that some clients end an address with; the reference has it without."""
    return [
        path(question.path, QuestionView.as_view(question=question)),
        path(f"{question.path}/", QuestionView.as_view(question=question, schema=None)),
    ]


urlpatterns = [address for question in QUESTIONS for address in _addresses(question)]
