"""The workload that a configuration describes."""

from collections.abc import Mapping

from evaluators.workloads.workload import Workload, build_workload


def configured(section: Mapping[str, object], data: object) -> Workload:
    """The workload of a ``conf/workload`` section.

    A recorded one that names no file or folder of its own is looked for in ``data``.
    Raises ``ValueError`` or ``OSError`` with one line.
    """
    options = {key: value for key, value in section.items() if key != "kind"}
    if "data" in options and options["data"] is None:
        options["data"] = data
    return build_workload(str(section["kind"]), options)
