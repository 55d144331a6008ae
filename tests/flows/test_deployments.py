"""infra/prefect.yaml says what it should, and every deployment fits the flow."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from prefect.utilities.callables import parameter_schema

from flows.choosing import preset_names
from flows.deploying import DEPLOYMENTS, names_in, pools_named_in
from flows.pipeline import r1vl
from flows.servers import LOCAL_POOL
from r1vl_core.config import STAGES

TABLE: dict[str, Any] = yaml.safe_load(DEPLOYMENTS.read_text())
BY_NAME = {deployment["name"]: deployment for deployment in TABLE["deployments"]}


def test_there_is_a_deployment_for_the_pipeline_and_for_every_stage() -> None:
    assert names_in(DEPLOYMENTS) == list(BY_NAME) == ["full-pipeline", *(stage.replace("_", "-") for stage in STAGES)]
    assert "until" not in BY_NAME["full-pipeline"]["parameters"]
    assert [BY_NAME[stage.replace("_", "-")]["parameters"]["until"] for stage in STAGES] == list(STAGES)
    assert pools_named_in(DEPLOYMENTS) == [LOCAL_POOL]


@pytest.mark.parametrize("name", BY_NAME)
def test_every_deployment_runs_the_flow_with_parameters_that_fit(name: str) -> None:
    deployment = BY_NAME[name]
    assert deployment["entrypoint"] == "flows/pipeline.py:r1vl"
    assert deployment["description"]
    assert deployment["work_pool"]["name"]
    assert deployment["parameters"]["preset"] in preset_names()
    r1vl.validate_parameters(deployment["parameters"])


def test_the_flow_refuses_a_stage_it_does_not_have() -> None:
    with pytest.raises(Exception, match="until"):
        r1vl.validate_parameters({"until": "nope"})


def test_every_parameter_is_explained_in_prefects_form() -> None:
    properties = parameter_schema(r1vl).properties
    assert list(properties) == ["preset", "overrides", "force", "seed", "until", "place"]
    assert all(len(parameter["description"]) > 20 for parameter in properties.values())
    assert properties["until"]["anyOf"][0]["enum"] == list(STAGES)


def test_flow_runs_go_to_the_checkout_of_the_machine_that_runs_them() -> None:
    assert TABLE["pull"] == [{"prefect.deployments.steps.set_working_directory": {"directory": "{{ $R1VL_HOME }}"}}]
