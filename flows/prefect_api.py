"""The few questions we put to a Prefect server from outside a flow run, over its REST API.

Plain HTTP keeps `import prefect` (more than a second) and its settings out of the command line.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx

TERMINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
"""State types of a run that is over."""


class Unreachable(RuntimeError):
    """The server does not answer, or answers with an error of its own."""


class PrefectApi:
    """A Prefect server at `url` (ending in /api).

    Methods return the server's JSON as it is, raise ValueError for what the server refuses (404, 409, 422),
    and Unreachable for the rest.
    """

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(base_url=self.url, timeout=timeout_s, trust_env=False)

    def is_healthy(self) -> bool:
        """Whether the server answers its health check."""
        try:
            return self._client.get("/health").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def pool_exists(self, name: str) -> bool:
        """Whether a work pool of this name exists."""
        return self._send("GET", f"/work_pools/{name}", missing_ok=True) is not None

    def create_process_pool(self, name: str) -> None:
        """Create a work pool of local processes; its first worker brings the job template along."""
        self._send("POST", "/work_pools/", {"name": name, "type": "process"})

    def workers(self, pool: str) -> list[dict[str, Any]]:
        """The pool's workers; `status` is ONLINE or OFFLINE."""
        return list(self._send("POST", f"/work_pools/{pool}/workers/filter", {}))

    def deployment(self, name: str) -> dict[str, Any]:
        """The deployment "r1vl/full-pipeline" or the like. Raises ValueError when there is none."""
        found = self._send("GET", f"/deployments/name/{name}", missing_ok=True)
        if found is None:
            there = ", ".join(str(each["name"]) for each in self._send("POST", "/deployments/filter", {}))
            raise ValueError(f"no deployment {name} on {self.url}; {f'there are {there}' if there else 'deploy with `r1vl up`'}")
        return dict(found)

    def submit(self, deployment_id: str, parameters: dict[str, Any], name: str | None = None) -> dict[str, Any]:
        """Schedule a flow run of a deployment, now, by this name or one of Prefect's.

        Raises ValueError when the parameters do not fit the flow's schema.
        """
        # the key makes a second sending of the same request harmless
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "idempotency_key": uuid.uuid4().hex}
        body |= {} if name is None else {"name": name}
        return dict(self._send("POST", f"/deployments/{deployment_id}/create_flow_run", body))

    def flow_run(self, flow_run_id: str) -> dict[str, Any]:
        """One flow run."""
        return dict(self._send("GET", f"/flow_runs/{flow_run_id}"))

    def flow_runs_in(self, *state_types: str) -> list[dict[str, Any]]:
        """Flow runs whose state is of one of these types, newest first (at most 200)."""
        body = {"flow_runs": {"state": {"type": {"any_": list(state_types)}}}, "sort": "START_TIME_DESC", "limit": 200}
        return list(self._send("POST", "/flow_runs/filter", body))

    def newest_flow_run(self, flow: str, **filters: Any) -> dict[str, Any] | None:
        """The run of `flow` that was due last, of those that `filters` (Prefect's, by field) let through; None when there is none.

        Runs that stand for a stage of another run and those planned for later are left out.
        """
        due = {"expected_start_time": {"before_": datetime.now(UTC).isoformat()}, "parent_task_run_id": {"is_null_": True}}
        body = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {**due, **filters}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
        return next(iter(self._send("POST", "/flow_runs/filter", body)), None)

    def flow_name(self, flow_id: str) -> str:
        """The name of a flow."""
        return str(self._send("GET", f"/flows/{flow_id}")["name"])

    def task_runs(self, *flow_run_ids: str) -> list[dict[str, Any]]:
        """The task runs of these flow runs."""
        return list(self._send("POST", "/task_runs/filter", {"flow_runs": {"id": {"any_": list(flow_run_ids)}}}))

    def children(self, flow_run_id: str) -> list[dict[str, Any]]:
        """The flow runs that a flow run started on other deployments."""
        return list(self._send("POST", "/flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [flow_run_id]}}}))

    def artifacts(self, *flow_run_ids: str) -> list[dict[str, Any]]:
        """The artifacts of these flow runs."""
        return list(self._send("POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": list(flow_run_ids)}}}))

    def logs(self, *flow_run_ids: str, level: int = 0, limit: int = 200) -> list[dict[str, Any]]:
        """The last `limit` log rows of these flow runs from a level of `logging` on, oldest first."""
        wanted = {"flow_run_id": {"any_": list(flow_run_ids)}, "level": {"ge_": level}}
        body = {"logs": wanted, "sort": "TIMESTAMP_DESC", "limit": limit}
        return list(reversed(self._send("POST", "/logs/filter", body)))

    def set_state(self, flow_run_id: str, state_type: str, message: str, name: str | None = None) -> None:
        """Put a flow run into a state, whatever the server's rules say."""
        state = {"type": state_type, "name": name or state_type.capitalize(), "message": message}
        self._send("POST", f"/flow_runs/{flow_run_id}/set_state", {"state": state, "force": True})

    def set_task_state(self, task_run_id: str, state_type: str, message: str) -> None:
        """Put a task run into a state, whatever the server's rules say."""
        state = {"type": state_type, "name": state_type.capitalize(), "message": message}
        self._send("POST", f"/task_runs/{task_run_id}/set_state", {"state": state, "force": True})

    def cancel(self, flow_run_id: str) -> None:
        """Ask the worker behind a flow run to end it."""
        self._send("POST", f"/flow_runs/{flow_run_id}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None, *, missing_ok: bool = False) -> Any:
        answer = self._answer(method, path, body)
        if answer.status_code == httpx.codes.NOT_FOUND and missing_ok:
            return None
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY):
            raise ValueError(f"Prefect refused {method} {path}: {_detail(answer)}")
        if answer.is_error:
            raise Unreachable(f"the Prefect server at {self.url} failed on {method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content else None

    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        """The server's answer; one that is busy (SQLite was locked) or hangs up is asked again for some seconds, one that is not there is
        not."""
        for pause_s in (0.2, 0.5, 1.0, 2.0, 4.0, None):
            try:
                answer = self._client.request(method, path, json=body)
            except httpx.HTTPError as error:
                if pause_s is None or isinstance(error, httpx.ConnectError):
                    cure = "start it with `r1vl up`; a run under way goes on without it being watched"
                    raise Unreachable(f"the Prefect server at {self.url} does not answer ({error}); {cure}") from None
                time.sleep(pause_s)
                continue
            if answer.status_code not in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS) or pause_s is None:
                break
            time.sleep(pause_s)
        return answer


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json().get("detail", answer.text)
    except ValueError:
        detail = answer.text
    return str(detail)[:600]
