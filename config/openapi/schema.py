"""Describes the operations of the API to drf-spectacular."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiRequest, OpenApiResponse

from apikeys.keys import MARK
from config.openapi import v2
from config.openapi.components import COMPONENTS
from config.openapi.examples import EXAMPLES as V1_EXAMPLES
from config.openapi.examples import as_csv, as_lines
from config.openapi.operations import ALWAYS, Operation
from config.openapi.operations import OPERATIONS as V1_OPERATIONS
from config.openapi.parameters import header_parameters, path_parameters, query_parameters
from config.openapi.responses import HEADERS, RATE, RESPONSES, headers, problem_ref, refusal_ref
from config.openapi.shapes import TEXT, Schema, ref
from events.body import NDJSON

JSON, CSV = "application/json", "text/csv"
OPERATIONS = V1_OPERATIONS | v2.OPERATIONS
EXAMPLES = V1_EXAMPLES | v2.EXAMPLES
Answers = dict[tuple[int, str], OpenApiResponse]


class Bearer(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How a key is sent."""

    target_class = "apikeys.authentication.BearerKey"
    name = "ApiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """In the words of OpenAPI."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": f"{MARK}…"}


def add_components(result: Schema, **context: Any) -> Schema:
    """A hook of drf-spectacular: put in what the operations refer to."""
    result["components"] |= {"schemas": COMPONENTS, "responses": RESPONSES, "headers": HEADERS}
    return result


class OperationSchema(AutoSchema):
    """One operation: its words from OPERATIONS, its parameters from the view."""

    @property
    def about(self) -> Operation:
        """What is said about this operation."""
        return OPERATIONS[f"{self.method} {self.path}"]

    @property
    def example(self) -> dict[str, Any]:
        """A request and its answer."""
        return EXAMPLES[f"{self.method} {self.path}"]

    def get_operation(self, *args: Any) -> Any:
        """What drf-spectacular makes of the rest, with the headers and errors of every answer."""
        if operation := super().get_operation(*args):
            for answer in operation["responses"].values():
                answer["headers"] = headers(*RATE)
            codes = sorted({*ALWAYS, *self.about.problems})
            refer = refusal_ref if self.about.in_envelope else problem_ref
            operation["responses"] |= {str(code): refer(code) for code in codes}
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
        return operation

    def get_operation_id(self) -> str:
        return self.about.id

    def get_summary(self) -> str:
        return self.about.summary

    def get_description(self) -> str:  # type: ignore[override]
        return self.about.description

    def get_tags(self) -> list[str]:
        return [self.about.tag]

    def get_override_parameters(self) -> list[Any]:
        path, query = self.example.get("path", {}), self.example.get("query", {})
        sent = header_parameters() if self._records else []
        return [*path_parameters(path), *query_parameters(self, self.about, query), *sent]

    @property
    def _records(self) -> bool:
        """Whether events are sent."""
        return self.method == "POST" and not self.about.body

    def get_request_serializer(self) -> Any:
        """The bodies that events, or others, are sent in."""
        if self.about.body:
            shown = [OpenApiExample("Example", self.example["body"])]
            return {JSON: OpenApiRequest(ref(self.about.body), examples=shown)}
        """The bodies that events are sent in, or the one object that changes something."""
        if self.method == "PATCH":
            examples = [OpenApiExample("Example", self.example["body"])]
            return {JSON: OpenApiRequest(ref(f"{self.about.answer}Patch"), examples=examples)}
        one, batch = self.example["body"], self.example["batch"]
        examples = [OpenApiExample("One event", one), OpenApiExample("Batch", {"events": batch})]
        lines = [OpenApiExample("Lines", as_lines(batch))]
        either = {"oneOf": [ref("EventIn"), ref("BatchIn")]}
        return {
            JSON: OpenApiRequest(either, examples=examples),
            NDJSON: OpenApiRequest(TEXT, examples=lines),
        }

    def get_response_serializers(self) -> Any:
        """The answers of success."""
        return self._outcomes() if self._records else self._answers()

    def _answers(self) -> Answers:
        if "answer" not in self.example:
            return {}
        body, answer = ref(self.about.answer), self.example["answer"]
        found = {(self.about.status, JSON): _answer(body, "The answer.", Example=answer)}
        if hasattr(self.view, "columns") and self.method == "GET":
            found[200, CSV] = _answer(TEXT, "The answer.", Example=as_csv(answer))
        return found

    def _outcomes(self) -> Answers:
        example, one = self.example, ref("Recorded")
        either = {"oneOf": [one, ref(self.about.answer)]}
        again = {"Duplicate": example["again"], "Batch": example["answer"]}
        return {
            (201, JSON): _answer(one, "The event was created.", Created=example["recorded"]),
            (200, JSON): _answer(either, "A duplicate, or what became of a batch.", **again),
        }


def _answer(schema: Schema, about: str, **examples: Any) -> OpenApiResponse:
    shown = [OpenApiExample(name, value) for name, value in examples.items()]
    return OpenApiResponse(schema, about, shown)
