// P pixels times PE output channels, all with the same kernels in a cycle.
//
// Accumulators of output 0 come first. `control` arrives two cycles after the taps, `kernel_early` two cycles before them: in
// the first the forms of the weights that all lanes share are made, in the second they go to the quarters of the pixels, each
// of which has registers of its own. The accumulators follow four cycles after the taps.
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
    input  wire  control_t                   control,
    output wire  [PE*P-1:0][ACC_WIDTH-1:0]   acc
);
    if (!MAPPED) begin : plain
        logic [PE-1:0][35:0] kernel, kernel_q;
        control_t            now;
        always_ff @(posedge clk) begin
            kernel <= kernel_early;
            kernel_q <= kernel;
            now <= control;
        end
        for (genvar l = 0; l < PE * P; l++) begin : lane
            engine_lane #(.ACC_WIDTH(ACC_WIDTH)) unit (
                .clk, .taps(taps[l%P]), .kernel(kernel_q[l/P]), .control(now), .acc(acc[l])
            );
        end
    end else begin : mapped
        typedef struct packed {
            logic [35:0] weights;
            logic [53:0] triples;
        } forms_t;
        localparam int unsigned FORMS = $bits(forms_t), CONTROL = $bits(control_t);
        localparam int unsigned QUARTER = (P + 3) / 4;
        forms_t [PE-1:0]         forms;
        logic [PE-1:0][8:0][3:0] signed_taps;  // tap 0 of a row as it is, taps 1 and 2 negated
        always_comb
            for (int unsigned e = 0; e < PE; e++)
                for (int unsigned t = 0; t < 9; t++)
                    signed_taps[e][t] = (t % 3 == 0) ? kernel_early[e][4*t+:4] : -kernel_early[e][4*t+:4];
        always_ff @(posedge clk)
            for (int unsigned t = 0; t < 9; t++)
                for (int unsigned e = 0; e < PE; e++) begin
                    forms[e].weights[4*t+:4] <= signed_taps[e][t];
                    forms[e].triples[6*t+:6] <= 6'($signed(signed_taps[e][t])) + {signed_taps[e][t][3], signed_taps[e][t], 1'b0};
                end
        if (MULT_DSP != 0) begin : pairs
            logic [8:0][13:0] packed_weights;
            wire  [8:0][13:0] weights;
            control_t         now;
            always_ff @(posedge clk)
                for (int unsigned t = 0; t < 9; t++)
                    packed_weights[t] <= 14'($signed(kernel_early[0][4*t+:4])) + {kernel_early[PE-1][4*t+:4], 10'd0};
            engine_copy #(.WIDTH(9 * 14)) own_weights (.clk, .d(packed_weights), .q(weights));
            engine_copy #(.WIDTH(CONTROL)) own_control (.clk, .d(control), .q(now));
            for (genvar q = 0; q < MULT_DSP; q++) begin : pair
                engine_quad #(.ACC_WIDTH(ACC_WIDTH)) quad (
                    .clk, .taps(taps[2*q+:2]), .weights, .control(now),
                    .acc({acc[P+2*q+1], acc[2*q+1], acc[P+2*q], acc[2*q]})
                );
            end
        end
        for (genvar e = 0; e < PE; e++) begin : output_channel
            for (genvar g = 2 * MULT_DSP / QUARTER; g * QUARTER < P; g++) begin : quarter
                localparam int unsigned FIRST = (g * QUARTER > 2 * MULT_DSP) ? g * QUARTER : 2 * MULT_DSP;
                localparam int unsigned LAST = ((g + 1) * QUARTER < P) ? (g + 1) * QUARTER : P;
                forms_t   own;
                control_t now;
                engine_copy #(.WIDTH(FORMS)) own_forms (.clk, .d(forms[e]), .q(own));
                engine_copy #(.WIDTH(CONTROL)) own_control (.clk, .d(control), .q(now));
                for (genvar l = FIRST; l < LAST; l++) begin : pixel
                    engine_lane_mapped #(.ACC_WIDTH(ACC_WIDTH)) lane (
                        .clk, .taps(taps[l]), .weights(own.weights), .triples(own.triples), .control(now), .acc(acc[e*P+l])
                    );
                end
            end
        end
    end

    if (MULT_DSP != 0 && (PE != 2 || 2 * MULT_DSP > P)) begin : bad_dsp
        $error("engine_lanes: MULT_DSP needs PE = 2 and at most P / 2");
    end
endmodule

`default_nettype wire
