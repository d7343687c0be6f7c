// Three taps of two pixels with two kernels: twelve products in three DSP48s.
//
// One multiplication (p0 + p1 * 2^20) * (w0 + w1 * 2^10) makes four products in fields of ten bits; three of them
// add up in the DSPs' own cascade, behind the register of each multiplier. A field that is negative borrows one from the field above, which gets it back.
`default_nettype none

(* keep_hierarchy *)
module engine_quad_row (
    input  wire                    clk,
    input  wire  [1:0][11:0]       taps,     /// of pixel 0 and 1
    input  wire  [2:0][13:0]       weights,  /// w0 + w1 * 2^10 of every tap
    output wire  signed [3:0][9:0] sum       /// p0*w0, p0*w1, p1*w0, p1*w1, two cycles later
);
    logic signed [2:0][39:0] product;
    for (genvar t = 0; t < 3; t++) begin : tap
        wire signed [24:0] pixels = {1'b0, taps[1][4*t+:4], 16'd0, taps[0][4*t+:4]};
        wire signed [13:0] weight = weights[t];
        always_ff @(posedge clk) product[t] <= pixels * weight;
    end
    logic signed [39:0] fields;
    always_ff @(posedge clk) fields <= $signed(product[0]) + $signed(product[1]) + $signed(product[2]);
    assign sum[0] = fields[9:0];
    assign sum[1] = fields[19:10] + 10'(fields[9]);
    assign sum[2] = fields[29:20] + 10'(fields[19]);
    assign sum[3] = fields[39:30] + 10'(fields[29]);
endmodule

`default_nettype wire
