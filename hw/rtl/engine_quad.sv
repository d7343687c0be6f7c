// Four lanes, two pixels by two output channels, with their 36 products in nine DSP48s; the same function as four
// engine_lane.
`default_nettype none

(* keep_hierarchy *)
module engine_quad
    import engine_pkg::*;
#(
    parameter int unsigned ACC_WIDTH = 18
) (
    input  wire                               clk,
    input  wire  [1:0][35:0]                  taps,
    input  wire  [8:0][13:0]                  weights,  /// w0 + w1 * 2^10 of every tap
    input  wire  control_t              control,
    output wire  [3:0][ACC_WIDTH-1:0]         acc       /// p0*w0, p0*w1, p1*w0, p1*w1
);
    wire signed [2:0][3:0][9:0] row;
    for (genvar r = 0; r < 3; r++) begin : kernel_row
        engine_quad_row unit (
            .clk, .taps({taps[1][12*r+:12], taps[0][12*r+:12]}), .weights(weights[3*r+:3]), .sum(row[r])
        );
    end
    for (genvar f = 0; f < 4; f++) begin : lane
        engine_accumulator #(.ACC_WIDTH(ACC_WIDTH)) accumulator (
            .clk, .partial({row[2][f], row[1][f], row[0][f]}), .control, .acc(acc[f])
        );
    end
endmodule

`default_nettype wire
