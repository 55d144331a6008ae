"""The local servers: Prefect, MLflow and a worker a pool, on loopback, recorded in services.json, ended by that record.

All their state lies under the root: prefect/ (never the user's own ~/.prefect), mlflow/, logs/.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import httpx
import psutil

from flows import deploying
from flows.prefect_api import PrefectApi
from flows.processes import HOST, DidNotStart, Recorded, choose_port, find, left_behind, listens, start, stop, wait_for
from flows.runtime import HOME, ready_root
from tasks.files import write_atomically
from tasks.locks import locked
from tasks.supervise import end_processes

LOCAL_POOL = "r1vl-local"
_START_S = 300.0
SERVERS = ("prefect", "mlflow")
_GRACE_S = {"worker": 25.0, "mlflow": 8.0, "prefect": 8.0}


@dataclass(frozen=True)
class Services:
    """What runs under a root.

    `ports` are remembered beyond the end of the servers, so that a restart keeps its addresses; `deployed` is the digest of the
    deployments that the Prefect server holds.

    >>> Services(ports={"prefect": 4200}).prefect_url
    'http://127.0.0.1:4200'
    """

    running: tuple[Recorded, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    deployed: str = ""

    @property
    def prefect_url(self) -> str:
        """Prefect's pages."""
        return f"http://{HOST}:{self.ports['prefect']}"

    @property
    def mlflow_url(self) -> str:
        """MLflow's pages."""
        return f"http://{HOST}:{self.ports['mlflow']}"

    def health_url(self, name: str) -> str:
        """Where a server says that it is well."""
        return {"prefect": f"{self.prefect_url}/api/health", "mlflow": f"{self.mlflow_url}/health"}[name]

    def has_worker(self) -> bool:
        """Whether a worker runs, of whatever pool."""
        return any(_kind(each.name) == "worker" and find(each) for each in self.running)

    def find(self, name: str) -> Recorded | None:
        """The service of this name if it runs."""
        return next((each for each in self.running if each.name == name and find(each)), None)


def read_services(root: Path) -> Services:
    """The record under `root`; empty where there is none or where it cannot be read."""
    try:
        table = json.loads((root / "services.json").read_text())
        ports = {str(name): int(port) for name, port in table["ports"].items()}
        return Services(tuple(Recorded(**each) for each in table["running"]), ports, table["deployed"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return Services()


def _write_services(root: Path, services: Services) -> None:
    write_atomically(root / "services.json", json.dumps(asdict(services), indent=1))


def is_up(root: Path, names: Iterable[str] = SERVERS) -> bool:
    """Whether these servers run and answer."""
    services = read_services(root)
    return all(services.find(name) and _answers(services.health_url(name)) for name in names)


def environment(root: Path, services: Services) -> dict[str, str]:
    """The variables that point prefect, mlflow and r1vl at these servers."""
    return {
        "R1VL_ROOT": str(root),
        "R1VL_HOME": str(HOME),
        "PREFECT_HOME": str(root / "prefect"),
        "PREFECT_API_URL": f"{services.prefect_url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_TRACKING_URI": services.mlflow_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }


def exports(root: Path) -> str:
    """Shell lines for `eval "$(r1vl env)"`. Raises ValueError when nothing runs under `root`."""
    if not is_up(root):
        raise ValueError(f"no servers run under {root}; start them with `r1vl up`")
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment(root, read_services(root)).items()]
    scripts = str(Path(sys.executable).parent)
    if shutil.which("prefect") != f"{scripts}/prefect":
        lines.append(f'export PATH={shlex.quote(scripts)}:"$PATH"')
    return "\n".join(lines)


def up(
    root: Path,
    *,
    prefect_port: int | None = None,
    mlflow_port: int | None = None,
    pools: Sequence[str] = (LOCAL_POOL,),
    deployments: Path = deploying.DEPLOYMENTS,
) -> Services:
    """Bring up what does not run yet, deploy what is not deployed yet, and return the record. Calling it again changes nothing.

    `pools` are the work pools that get a worker on this machine. Raises ValueError for a port in use or a root that cannot be
    written, DidNotStart (naming the log) when a server dies.
    """
    if not all(pool.strip() for pool in pools):
        raise ValueError("--pool: a work pool has a name; give one")
    ready_root(root)
    with locked(root / "services.lock"):
        _start_servers(root, {"prefect": prefect_port, "mlflow": mlflow_port})
        _deploy(root, deployments)
        for pool in dict.fromkeys(pools):
            _start_worker(root, pool)
        return read_services(root)


def up_for_runs(root: Path, meanwhile: Callable[[Services], None] = lambda services: None) -> Services:
    """Bring up the two servers alone, for runs in the caller's own process; `meanwhile` is done while they start."""
    ready_root(root)
    with locked(root / "services.lock"):
        _start_servers(root, {"prefect": None, "mlflow": None}, meanwhile)
        return read_services(root)


def down(root: Path, *, unless_worker: bool = False) -> list[str]:
    """End the recorded processes, the workers first, and what killed ones left behind; returns the names of those that still ran.

    `unless_worker` leaves everything as it is where a worker runs: somebody called `up`.
    """
    if not (root / "services.lock").exists():
        return []
    with locked(root / "services.lock"):
        services = read_services(root)
        if unless_worker and services.has_worker():
            return []
        ended = [each.name for each in reversed(services.running) if stop(each, _GRACE_S[_kind(each.name)])]
        ended += _end_left_behind(left_behind(root, services.running))
        _write_services(root, replace(services, running=()))
    return ended


def left_of_servers(root: Path, names: Iterable[str] = SERVERS) -> dict[psutil.Process, str]:
    """Processes that killed servers left: MLflow's listens on. (What a killed worker ran goes on, until `down`.)"""
    return {process: name for process, name in left_behind(root, read_services(root).running).items() if name in names}


def end_left_of_servers(root: Path) -> list[str]:
    """End them; a word on each server."""
    if not left_of_servers(root):
        return []
    with locked(root / "services.lock"):  # else a server that somebody just starts, and has not recorded yet, would look like one
        return _end_left_behind(left_of_servers(root))


def _end_left_behind(found: Mapping[psutil.Process, str]) -> list[str]:
    end_processes(list(found), grace_s=max((_GRACE_S[_kind(name)] for name in found.values()), default=0.0))
    return [f"what a killed {name} left" for name in dict.fromkeys(found.values())]


def dead(root: Path) -> list[str]:
    """Names of recorded processes that are gone."""
    return [each.name for each in read_services(root).running if find(each) is None]


def forget_dead(root: Path) -> list[str]:
    """Take processes that are gone out of the record; their names."""
    if not dead(root):
        return []
    with locked(root / "services.lock"):
        services, gone = read_services(root), dead(root)
        _write_services(root, replace(services, running=tuple(each for each in services.running if each.name not in gone)))
    return gone


def _kind(name: str) -> str:
    return name.partition(" ")[0]


def _start_servers(root: Path, wanted: Mapping[str, int | None], meanwhile: Callable[[Services], None] = lambda services: None) -> None:
    """Start both servers at once and wait for both; start-up is most of the time `up` takes."""
    services = read_services(root)
    missing = [name for name in SERVERS if services.find(name) is None]
    _refuse_ports(services, wanted, missing)
    _end_left_behind(left_of_servers(root, missing))  # it would hold the port
    remembered = {name: port for name, port in services.ports.items() if port not in wanted.values()}  # not what the other one shall have
    ports = {**services.ports, **{name: choose_port(wanted[name], remembered.get(name), f"--{name}-port") for name in missing}}
    services = Services(tuple(each for each in services.running if find(each)), ports, services.deployed)
    begun: list[Recorded] = []
    for name in missing:
        started = start(
            name, _command(name, root, services), _environment(root, services), root, root / "logs" / f"{name}.log", ports[name]
        )
        begun.append(started)
        services = replace(services, running=(started, *services.running))
        _write_services(root, services)
    try:
        meanwhile(services)
        for name in SERVERS:
            wait_for(_running(services, name), partial(_is_up, services, name), _START_S)
    except (DidNotStart, KeyboardInterrupt):
        for each in begun:
            stop(each, _GRACE_S[each.name])
        raise


def _refuse_ports(services: Services, wanted: Mapping[str, int | None], missing: Sequence[str]) -> None:
    """Raise ValueError for a port given to both servers, and for another one than a server has that runs."""
    given = [port for port in wanted.values() if port is not None]
    if len(given) > len(set(given)):
        raise ValueError(f"port {given[0]} is given to both servers; give each another one, or leave one out to have a free one chosen")
    for name, port in wanted.items():
        if port is not None and name not in missing and port != services.ports[name]:
            raise ValueError(f"{name} runs on port {services.ports[name]} already; end it with `r1vl down` before giving it port {port}")


def _running(services: Services, name: str) -> Recorded:
    return next(each for each in services.running if each.name == name)


def _command(name: str, root: Path, services: Services) -> list[str]:
    python = [sys.executable, "-m"]
    port = str(services.ports[name])
    if name == "prefect":
        (root / "prefect").mkdir(exist_ok=True)
        return [*python, "prefect", "server", "start", "--host", HOST, "--port", port, "--analytics-off"]
    (root / "mlflow").mkdir(exist_ok=True)
    database = f"sqlite:///{root / 'mlflow' / 'mlflow.db'}"
    artifacts = str(root / "mlflow" / "artifacts")
    listen = ["--host", HOST, "--port", port, "--workers", "1"]
    return [*python, "mlflow", "server", *listen, "--backend-store-uri", database, "--artifacts-destination", artifacts]


def _environment(root: Path, services: Services) -> dict[str, str]:
    """What the servers and workers live in: the caller's environment without the caller's own Prefect and MLflow settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    scripts = str(Path(sys.executable).parent)
    return {
        **inherited,
        **environment(root, services),
        "PATH": f"{scripts}{os.pathsep}{inherited.get('PATH', os.defpath)}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes and 2 GB otherwise
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "NO_PROXY": ",".join(filter(None, (inherited.get("NO_PROXY"), HOST, "localhost"))),
        "PYTHONUNBUFFERED": "1",
    }


def _deploy(root: Path, deployments: Path) -> None:
    services = read_services(root)
    digest = deploying.digest_of(deployments)
    if services.deployed != digest:
        api = PrefectApi(environment(root, services)["PREFECT_API_URL"])
        deploying.deploy(api, deployments, _environment(root, services), root / "logs" / "deploy.log")
        _write_services(root, replace(services, deployed=digest))


def _start_worker(root: Path, pool: str) -> None:
    services = read_services(root)
    name = f"worker {pool}"
    if services.find(name):
        return
    api = PrefectApi(environment(root, services)["PREFECT_API_URL"])
    deploying.ensure_pool(api, pool)
    worker = f"{pool}-{os.getpid()}-{int(time.time())}"  # a name of its own: a heartbeat under it is this worker's
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process", "--name", worker]
    started = start(name, command, _environment(root, services), root, root / "logs" / f"worker-{pool}.log")
    kept = tuple(each for each in services.running if each.name != name)
    _write_services(root, replace(services, running=(*kept, started)))
    wait_for(started, lambda: any(each["name"] == worker for each in api.workers(pool)), _START_S)


def _is_up(services: Services, name: str) -> bool:
    return _answers(services.health_url(name)) and listens(_running(services, name))


def _answers(url: str) -> bool:
    try:
        # Plain HTTP on loopback: loading certificates for every look would take a tenth of a core from the servers.
        return httpx.get(url, timeout=5, trust_env=False, verify=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
