// One pixel of one output channel: nine 4-bit products, their sum, and the accumulator.
//
// The taps are unsigned, the weights signed and not below -7. Four cycles from taps and kernel to the accumulator;
// `control` arrives with the finished sum, three cycles after the taps. This is the definition, and
// what simulation runs; engine_lane_mapped is the same for synthesis.
`default_nettype none

module engine_lane
    import engine_pkg::*;
#(
    parameter int unsigned ACC_WIDTH = 18
) (
    input  wire                         clk,
    input  wire  [35:0]                 taps,
    input  wire  [35:0]                 kernel,
    input  wire  control_t              control,
    output logic signed [ACC_WIDTH-1:0] acc
);
    logic signed [8:0][8:0] product;
    logic signed [10:0]     sum, sum_q, total;  // |9 * 7 * 15| = 945
    always_comb begin
        sum = '0;
        for (int unsigned t = 0; t < 9; t++) sum += 11'($signed(product[t]));
    end
    always_ff @(posedge clk) begin
        for (int unsigned t = 0; t < 9; t++)
            product[t] <= $signed({1'b0, taps[4*t+:4]}) * $signed(kernel[4*t+:4]);
        sum_q <= sum;
        total <= sum_q;
        if (control.valid) acc <= ACC_WIDTH'(total) + (control.first ? '0 : control.shift ? acc <<< 4 : acc);
    end
endmodule

`default_nettype wire
