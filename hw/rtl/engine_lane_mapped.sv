// The same function as engine_lane, shaped for 6-input LUTs with carry chains; what synthesis takes.
//
// A pixel is two digits of two bits; each digit adds 0, w, 2w or 3w in one carry chain. Negations and odd multiples
// of the weights are made once for all lanes.
`default_nettype none

(* keep_hierarchy *)
module engine_lane_mapped
    import engine_pkg::*;
#(
    parameter int unsigned ACC_WIDTH = 18
) (
    input  wire                         clk,
    input  wire  [35:0]                 taps,
    input  wire  [35:0]                 weights,  /// as engine_row_sum takes them, row 0 first
    input  wire  [53:0]                 triples,
    input  wire  control_t              control,
    output wire  signed [ACC_WIDTH-1:0] acc
);
    wire  signed [2:0][9:0] row;
    for (genvar r = 0; r < 3; r++) begin : kernel_row
        engine_row_sum unit (
            .clk, .taps(taps[12*r+:12]), .weights(weights[12*r+:12]), .triples(triples[18*r+:18]), .sum(row[r])
        );
    end
    engine_accumulator #(.ACC_WIDTH(ACC_WIDTH)) accumulator (.clk, .partial(row), .control, .acc);
endmodule

`default_nettype wire
