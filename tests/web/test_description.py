"""The service keeps to its own description (OpenAPI), whatever is sent."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.web.served import encoded, picture

CHECKS = [
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]


@pytest.fixture(scope="module")
def schema(server):
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.filterwarnings("ignore")  # Pillow warns of much that is damaged
def test_random_requests_are_answered_as_described(schema):
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 6
    for operation in operations:
        probe(operation, 15 if operation.path == "/v1/segment" else 3)


def probe(operation, examples):
    """Send random requests to one address, and check the answers."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def answered_as_described(case):
        case.call_and_validate(checks=CHECKS)

    answered_as_described()


def test_every_address_is_described_with_its_errors(server):
    description = server.client.get("/openapi.json").json()
    assert set(description["paths"]) == {
        "/v1/segment",
        "/v1/models",
        "/v1/models/{name}",
        "/health/live",
        "/health/ready",
        "/metrics",
    }
    answers = description["paths"]["/v1/segment"]["post"]["responses"]
    assert set(answers) == {
        *("200", "400", "401", "403", "404", "408", "413", "415", "421", "422", "429"),
        *("500", "503", "504"),
    }
    assert set(answers["200"]["content"]) == {"application/json", "image/png", "image/jpeg"}
    for status, answer in answers.items():
        if status != "200":
            assert list(answer["content"]) == ["application/problem+json"]
            assert answer["content"]["application/problem+json"]["schema"]["examples"]
    for name in ("SegmentationAnswer", "ModelAnswer"):
        assert description["components"]["schemas"][name]["examples"]


@pytest.mark.parametrize("format", ["json", "png", "overlay"])
def test_good_requests_are_answered_as_described(server, schema, format):
    operation = schema["/v1/segment"]["POST"]
    case = operation.Case(
        query={"format": format, "masks": "both"},
        body=encoded(picture(20, 30)),
        media_type="image/png",
    )
    answer = case.call()
    assert answer.status_code == 200
    case.validate_response(answer, checks=CHECKS)
