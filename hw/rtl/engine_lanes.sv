// P pixels times PE output channels, all with the same kernels in a cycle.
//
// Accumulators of output 0 come first. `valid`, `first` and `shift` arrive two cycles after taps and kernels, which
// arrive one cycle after `kernel_early`: the cycle in which the odd multiples of the weights are made.
module engine_lanes
    import engine_pkg::*;
#(
    parameter int unsigned P        = 64,
    parameter int unsigned PE       = 2,
    parameter int unsigned MULT_DSP = 0   /// pixel pairs whose products are made in DSP48s
) (
    input  wire                              clk,
    input  wire  [P-1:0][35:0]               taps,
    input  wire  [PE-1:0][35:0]              kernel_early,
    input  wire                              valid,
    input  wire                              first,
    input  wire                              shift,
    output wire  [PE*P-1:0][ACC_WIDTH-1:0]   acc
);
    logic [PE-1:0][35:0] kernel;
    always_ff @(posedge clk) kernel <= kernel_early;
`ifdef SYNTHESIS
    logic [PE-1:0][53:0] triples;
    always_ff @(posedge clk)
        for (int unsigned e = 0; e < PE; e++)
            for (int unsigned t = 0; t < 9; t++)
                triples[e][6*t+:6] <= 6'($signed(kernel_early[e][4*t+:4])) + {kernel_early[e][4*t+3], kernel_early[e][4*t+:4], 1'b0};
`endif
    for (genvar e = 0; e < PE; e++) begin : output_channel
        for (genvar l = 0; l < P; l++) begin : pixel
`ifdef SYNTHESIS
            engine_lane_mapped lane (
                .clk, .taps(taps[l]), .kernel(kernel[e]), .triples(triples[e]), .valid, .first, .shift,
                .acc(acc[e*P+l])
            );
`else
            engine_lane lane (
                .clk, .taps(taps[l]), .kernel(kernel[e]), .valid, .first, .shift, .acc(acc[e*P+l])
            );
`endif
        end
    end
endmodule
