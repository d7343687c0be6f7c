"""Independent tasks on the cores of this machine, or on a cluster through Ray; both are back ends of joblib."""

from collections.abc import Iterator
from contextlib import contextmanager

import joblib

from flow.errors import GatefoldError

BACKENDS = ("processes", "ray")


@contextmanager
def _ray(address: str | None, jobs: int):
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise GatefoldError("Ray is not installed here; run make setup again, or use --backend processes.") from None
    try:
        limits = {} if address else {"num_cpus": jobs}
        ray.init(address=address, include_dashboard=False, logging_level="error", **limits)
    except (ConnectionError, ValueError) as error:
        raise GatefoldError(f"The Ray cluster {address} does not answer ({error}); start it, or leave out its address.") from None
    register_ray()
    try:
        with joblib.parallel_config("ray", n_jobs=jobs):
            yield
    finally:
        ray.shutdown()


@contextmanager
def workers(jobs: int, backend: str = "processes", address: str | None = None) -> Iterator[None]:
    """Where joblib's parallel calls inside of the ``with`` run.

    Args:
        jobs: tasks at a time.
        backend: ``"processes"`` (of this machine) or ``"ray"``.
        address: of the Ray cluster's head; None starts a local one.
    """
    if backend == "ray":
        with _ray(address, jobs):
            yield
    else:
        with joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
            yield
