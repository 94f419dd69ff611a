"""Options of the commands that run on a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.option_groups import given_options
from splade_lucene.cli.options import check_required, wrong_usage
from splade_lucene.distributed.cluster import RayCluster

if TYPE_CHECKING:
    from splade_lucene.distributed.encoding import RayWorkers


@dataclass(frozen=True)
class RayOptions:
    """Where the work is done, and by how many processes."""

    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", metavar="ADDRESS", help="Work on a Ray cluster: HOST:PORT, auto, or local to start one here."
        ),
    ] = None
    ray_workers: Annotated[
        int | None, typer.Option("--ray-workers", min=1, help="Worker processes. Default: as many as fit.")
    ] = None
    ray_cpus: Annotated[float, typer.Option("--ray-cpus", min=0, help="Logical CPUs, and threads, of a worker.")] = (
        RayCluster.cpus
    )
    ray_gpus: Annotated[float, typer.Option("--ray-gpus", min=0, help="GPUs of a worker; 0.5 lets two share one.")] = (
        RayCluster.gpus
    )
    ray_timeout: Annotated[
        float, typer.Option("--ray-timeout", min=1, help="Give up after this many seconds without progress.")
    ] = RayCluster.timeout

    def cluster(self) -> RayCluster | None:
        """The cluster; None if the work is done in this process."""
        if self.ray is None:
            check_required("--ray", **given_options(self))
            return None
        with wrong_usage():
            return RayCluster(self.ray, self.ray_workers, self.ray_cpus, self.ray_gpus, self.ray_timeout)


def workers_of(cluster: RayCluster | None) -> RayWorkers | None:
    """What encodes documents on a cluster; None if there is none."""
    if cluster is None:
        return None
    from splade_lucene.distributed.encoding import RayWorkers

    return RayWorkers(cluster)
