"""What of FINN cannot be simulated here, class by class, in the words that the user reads."""

REFUSED = {
    "FINNLoop": "FINNLoop moves its data by AXI datamover cores, of which there is no RTL without Vivado.",
    "NodeContainer": "NodeContainer is a partition for partial reconfiguration around a model; simulate that model.",
}
"""RTL class of `finn.custom_op.fpgadataflow.rtl` -> why a simulation of it is refused or says nothing."""


def refuse(op_type: str, name: str) -> None:
    """Raise FINN's own FINNUserError where the class of a node is refused."""
    from finn.util.exception import FINNUserError

    if op_type.endswith("_hls"):
        raise FINNUserError(
            f"{name} is an HLS node ({op_type}), of which there is no RTL without Vitis HLS; use its RTL variant "
            f"(preferred_impl_style=rtl) where there is one, or simulate the graph without it."
        )
    if op_type in REFUSED:
        raise FINNUserError(f"{name} cannot be simulated: {REFUSED[op_type]}")
