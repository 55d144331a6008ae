"""The commands for the local servers: `r1vl up`, `r1vl down` and `r1vl env`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.options import RootOption
from flows.runtime import runtime_from


def up(
    prefect_port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Port of the Prefect server.  [default: a free one]", min=1, max=65535)
    ] = None,
    mlflow_port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Port of the MLflow server.  [default: a free one]", min=1, max=65535)
    ] = None,
    pool: Annotated[
        list[str] | None, typer.Option("--pool", metavar="POOL", help="Start a worker for this pool as well; repeatable.")
    ] = None,
    root: RootOption = None,
) -> None:
    """Start Prefect, MLflow and a worker on loopback. Deploys as well; what runs already is left alone."""
    from flows import servers
    from flows.deploying import DEPLOYMENTS, names_in
    from flows.doctor import close_abandoned
    from tasks.tracking import Tracker

    runtime = runtime_from(root=root)
    deployed_before = servers.read_services(runtime.root).deployed
    services = servers.up(runtime.root, prefect_port=prefect_port, mlflow_port=mlflow_port, pools=(servers.LOCAL_POOL, *(pool or ())))
    for line in close_abandoned(runtime.root, services):
        typer.echo(f"closed: {line}")
    runs_table = Tracker(runtime.root, services.mlflow_url).experiment_url()
    when = "deployed" if services.deployed != deployed_before else "deployed before"
    typer.echo(f"Prefect  {services.prefect_url}\nMLflow   {runs_table or services.mlflow_url}")
    typer.echo(f"{when}: {', '.join(names_in(DEPLOYMENTS))}; run one: r1vl submit NAME")
    typer.echo('point the prefect and mlflow commands at the servers: eval "$(r1vl env)"')


def down(root: RootOption = None) -> None:
    """End what `up` started. By recorded process id; runs under way are cancelled first, their trainings save a checkpoint."""
    from flows import servers
    from flows.submitting import cancel_going

    runtime = runtime_from(root=root)
    for name in cancel_going(runtime.root):
        typer.echo(f"cancelled {name}; a rerun goes on from its last checkpoint")
    ended = servers.down(runtime.root)
    typer.echo(f"ended: {', '.join(ended)}" if ended else "nothing was running")


def env(root: RootOption = None) -> None:
    """Print exports that point other tools at the servers. For the prefect and mlflow commands: eval "$(r1vl env)"."""
    from flows import servers

    typer.echo(servers.exports(runtime_from(root=root).root))
