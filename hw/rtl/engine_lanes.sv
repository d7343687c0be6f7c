// P pixels times PE output channels, all with the same kernels in a cycle.
//
// Accumulators of output 0 come first. `valid`, `first` and `shift` arrive two cycles after taps and kernels.
module engine_lanes
    import engine_pkg::*;
#(
    parameter int unsigned P        = 64,
    parameter int unsigned PE       = 2,
    parameter int unsigned MULT_DSP = 0   /// pixel pairs whose products are made in DSP48s
) (
    input  wire                              clk,
    input  wire  [P-1:0][35:0]               taps,
    input  wire  [PE-1:0][35:0]              kernel,
    input  wire                              valid,
    input  wire                              first,
    input  wire                              shift,
    output wire  [PE*P-1:0][ACC_WIDTH-1:0]   acc
);
    for (genvar e = 0; e < PE; e++) begin : output_channel
        for (genvar l = 0; l < P; l++) begin : pixel
            engine_lane lane (
                .clk, .taps(taps[l]), .kernel(kernel[e]), .valid, .first, .shift, .acc(acc[e*P+l])
            );
        end
    end
endmodule
