// P pixels times PE output channels, all with the same kernels in a cycle, or with PACK each quarter of 4x4 pixels of an 8x8 block with
// its own.
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
    parameter bit          PACK     = 0,
`ifdef SYNTHESIS
    parameter bit          MAPPED   = 1
`else
    parameter bit          MAPPED   = 0
`endif
    ,
    localparam int unsigned QUARTERS = PACK ? 4 : 1
) (
    input  wire                              clk,
    input  wire  [P-1:0][35:0]               taps,
    input  wire  [QUARTERS-1:0][PE-1:0][35:0] kernel_early,
    input  wire  control_t                   control,
    output wire  [PE*P-1:0][ACC_WIDTH-1:0]   acc
);
    if (!MAPPED) begin : plain
        logic [QUARTERS-1:0][PE-1:0][35:0] kernel, kernel_q;
        control_t            now;
        always_ff @(posedge clk) begin
            kernel <= kernel_early;
            kernel_q <= kernel;
            now <= control;
        end
        for (genvar l = 0; l < PE * P; l++) begin : lane
            localparam int unsigned OWN = PACK ? 2 * (l % P / 32) + l % 8 / 4 : 0;
            engine_lane #(.ACC_WIDTH(ACC_WIDTH)) unit (
                .clk, .taps(taps[l%P]), .kernel(kernel_q[OWN][l/P]), .control(now), .acc(acc[l])
            );
        end
    end else begin : mapped
        typedef struct packed {
            logic [35:0] weights;
            logic [53:0] triples;
        } forms_t;
        localparam int unsigned FORMS = $bits(forms_t), CONTROL = $bits(control_t);
        localparam int unsigned QUARTER = (P + 3) / 4;
        forms_t [QUARTERS-1:0][PE-1:0]         forms;
        logic [QUARTERS-1:0][PE-1:0][8:0][3:0] signed_taps;  // tap 0 of a row as it is, taps 1 and 2 negated
        always_comb
            for (int unsigned o = 0; o < QUARTERS; o++)
                for (int unsigned e = 0; e < PE; e++)
                    for (int unsigned t = 0; t < 9; t++)
                        signed_taps[o][e][t] = (t % 3 == 0) ? kernel_early[o][e][4*t+:4] : -kernel_early[o][e][4*t+:4];
        always_ff @(posedge clk)
            for (int unsigned o = 0; o < QUARTERS; o++)
                for (int unsigned e = 0; e < PE; e++)
                    for (int unsigned t = 0; t < 9; t++) begin
                        forms[o][e].weights[4*t+:4] <= signed_taps[o][e][t];
                        forms[o][e].triples[6*t+:6] <= 6'($signed(signed_taps[o][e][t])) + {signed_taps[o][e][t][3], signed_taps[o][e][t], 1'b0};
                    end
        if (MULT_DSP != 0) begin : pairs
            // Quarters that have pairs.
            localparam int unsigned OWNERS = !PACK ? 1 : (2 * MULT_DSP > 32) ? 4 : 2;
            logic [OWNERS-1:0][8:0][13:0] packed_weights;
            wire  [OWNERS-1:0][8:0][13:0] weights;
            control_t         now;
            always_ff @(posedge clk)
                for (int unsigned o = 0; o < OWNERS; o++)
                    for (int unsigned t = 0; t < 9; t++)
                        packed_weights[o][t] <= 14'($signed(kernel_early[o][0][4*t+:4])) + {kernel_early[o][PE-1][4*t+:4], 10'd0};
            for (genvar o = 0; o < OWNERS; o++) begin : owner
                engine_copy #(.WIDTH(9 * 14)) own_weights (.clk, .d(packed_weights[o]), .q(weights[o]));
            end
            engine_copy #(.WIDTH(CONTROL)) own_control (.clk, .d(control), .q(now));
            for (genvar q = 0; q < MULT_DSP; q++) begin : pair
                localparam int unsigned OWN = PACK ? 2 * (q / 16) + q % 4 / 2 : 0;
                engine_quad #(.ACC_WIDTH(ACC_WIDTH)) quad (
                    .clk, .taps(taps[2*q+:2]), .weights(weights[OWN]), .control(now),
                    .acc({acc[P+2*q+1], acc[2*q+1], acc[P+2*q], acc[2*q]})
                );
            end
        end
        for (genvar e = 0; e < PE; e++) begin : output_channel
            for (genvar g = 2 * MULT_DSP / QUARTER; g * QUARTER < P; g++) begin : quarter
                localparam int unsigned FIRST = (g * QUARTER > 2 * MULT_DSP) ? g * QUARTER : 2 * MULT_DSP;
                localparam int unsigned LAST = ((g + 1) * QUARTER < P) ? (g + 1) * QUARTER : P;
                localparam int unsigned HALVES = PACK ? 2 : 1;  // left and right ones of the rows
                forms_t [HALVES-1:0] own;
                control_t            now;
                for (genvar h = 0; h < HALVES; h++) begin : half
                    engine_copy #(.WIDTH(FORMS)) own_forms (.clk, .d(forms[PACK?2*(g/2)+h:0][e]), .q(own[h]));
                end
                engine_copy #(.WIDTH(CONTROL)) own_control (.clk, .d(control), .q(now));
                for (genvar l = FIRST; l < LAST; l++) begin : pixel
                    localparam int unsigned HALF = PACK ? l % 8 / 4 : 0;
                    engine_lane_mapped #(.ACC_WIDTH(ACC_WIDTH)) lane (
                        .clk, .taps(taps[l]), .weights(own[HALF].weights), .triples(own[HALF].triples), .control(now), .acc(acc[e*P+l])
                    );
                end
            end
        end
    end

    if (PACK && P != 64) begin : bad_pack
        $error("engine_lanes: PACK needs P = 64");
    end
    if (MULT_DSP != 0 && (PE != 2 || 2 * MULT_DSP > P)) begin : bad_dsp
        $error("engine_lanes: MULT_DSP needs PE = 2 and at most P / 2");
    end
endmodule

`default_nettype wire
