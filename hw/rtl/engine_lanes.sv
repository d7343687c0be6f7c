// P pixels times PE output channels, all with the same kernels in a cycle.
//
// Accumulators of output 0 come first. `valid`, `first` and `shift` arrive two cycles after taps and kernels, which
// arrive one cycle after `kernel_early`: the cycle in which the forms of the weights that all lanes share are made.
// Simulation runs the definition, engine_lane; synthesis (or MAPPED) takes the shapes that fit the part: the first
// 2 * MULT_DSP pixels in DSP48s, the others in LUTs.
`default_nettype none

module engine_lanes
    import engine_pkg::*;
#(
    parameter int unsigned P        = 64,
    parameter int unsigned PE       = 2,
    parameter int unsigned ACC_WIDTH = 18,  /// bits of an accumulator
    parameter int unsigned MULT_DSP = 0,  /// pixel pairs in DSP48s, nine each; needs PE = 2
`ifdef SYNTHESIS
    parameter bit          MAPPED   = 1
`else
    parameter bit          MAPPED   = 0
`endif
) (
    input  wire                              clk,
    input  wire  [P-1:0][35:0]               taps,
    input  wire  [PE-1:0][35:0]              kernel_early,
    input  wire                              valid,
    input  wire                              first,
    input  wire                              shift,
    output wire  [PE*P-1:0][ACC_WIDTH-1:0]   acc
);
    if (!MAPPED) begin : plain
        logic [PE-1:0][35:0] kernel;
        always_ff @(posedge clk) kernel <= kernel_early;
        for (genvar l = 0; l < PE * P; l++) begin : lane
            engine_lane #(.ACC_WIDTH(ACC_WIDTH)) unit (
                .clk, .taps(taps[l%P]), .kernel(kernel[l/P]), .valid, .first, .shift, .acc(acc[l])
            );
        end
    end else begin : mapped
        logic [PE-1:0][35:0]     weights;
        logic [PE-1:0][53:0]     triples;
        logic [PE-1:0][8:0][3:0] signed_taps;  // tap 0 of a row as it is, taps 1 and 2 negated
        // Only pairs in DSP48s take it.
        // verilator lint_off UNUSEDSIGNAL
        logic [8:0][13:0]        packed_weights;
        // verilator lint_on UNUSEDSIGNAL
        always_comb
            for (int unsigned e = 0; e < PE; e++)
                for (int unsigned t = 0; t < 9; t++)
                    signed_taps[e][t] = (t % 3 == 0) ? kernel_early[e][4*t+:4] : -kernel_early[e][4*t+:4];
        always_ff @(posedge clk)
            for (int unsigned t = 0; t < 9; t++) begin
                packed_weights[t] <= 14'($signed(kernel_early[0][4*t+:4])) + {kernel_early[PE-1][4*t+:4], 10'd0};
                for (int unsigned e = 0; e < PE; e++) begin
                    weights[e][4*t+:4] <= signed_taps[e][t];
                    triples[e][6*t+:6] <= 6'($signed(signed_taps[e][t])) + {signed_taps[e][t][3], signed_taps[e][t], 1'b0};
                end
            end
        for (genvar q = 0; q < MULT_DSP; q++) begin : pair
            engine_quad #(.ACC_WIDTH(ACC_WIDTH)) quad (
                .clk, .taps(taps[2*q+:2]), .weights(packed_weights), .valid, .first, .shift,
                .acc({acc[P+2*q+1], acc[2*q+1], acc[P+2*q], acc[2*q]})
            );
        end
        for (genvar e = 0; e < PE; e++) begin : output_channel
            for (genvar l = 2 * MULT_DSP; l < P; l++) begin : pixel
                engine_lane_mapped #(.ACC_WIDTH(ACC_WIDTH)) lane (
                    .clk, .taps(taps[l]), .weights(weights[e]), .triples(triples[e]), .valid, .first, .shift,
                    .acc(acc[e*P+l])
                );
            end
        end
    end

    if (MULT_DSP != 0 && (PE != 2 || 2 * MULT_DSP > P)) begin : bad_dsp
        $error("engine_lanes: MULT_DSP needs PE = 2 and at most P / 2");
    end
endmodule

`default_nettype wire
