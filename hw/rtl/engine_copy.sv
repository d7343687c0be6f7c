// A register of its own for a part of what reads a signal, so that no net of the inner loop reaches all of the lanes.
//
// Its bounds stay while the design is optimised: equal registers of two copies are not made one again.
`default_nettype none

(* keep_hierarchy *)
module engine_copy #(
    parameter int unsigned WIDTH = 1
) (
    input  wire              clk,
    input  wire  [WIDTH-1:0] d,
    output logic [WIDTH-1:0] q
);
    always_ff @(posedge clk) q <= d;
endmodule

`default_nettype wire
