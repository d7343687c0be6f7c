// Three taps of one kernel row: sum of pixel * weight, pixels unsigned, as low digits + 4 * high digits; two cycles.
//
// The first tap takes the weight itself, the two others the negated one, since they subtract.
`default_nettype none

(* keep_hierarchy *)
module engine_row_sum
    import engine_pkg::*;
(
    input  wire               clk,
    input  wire  [11:0]       taps,
    input  wire  [11:0]       weights,  /// weight of tap 0, negated weights of taps 1 and 2
    input  wire  [17:0]       triples,  /// three times these, 6 bits each
    output logic signed [9:0] sum       /// |3 * 7 * 15| = 315
);
    wire signed [1:0][2:0][6:0] chain;  // per digit; |3 * 3 * 7| = 63
    for (genvar d = 0; d < 2; d++) begin : digit
        assign chain[d][0] = 7'(multiple(taps[2*d+:2], weights[3:0], triples[5:0]));
        for (genvar t = 1; t < 3; t++) begin : tap
            engine_digit_subtract step (
                .minuend(chain[d][t-1]), .x(taps[4*t+2*d+:2]), .weight(weights[4*t+:4]), .triple(triples[6*t+:6]),
                .difference(chain[d][t])
            );
        end
    end
    logic signed [6:0] low, high;
    always_ff @(posedge clk) begin
        low <= chain[0][2];
        high <= chain[1][2];
        sum <= {8'($signed(low[6:2])) + 8'(high), low[1:0]};
    end
endmodule

`default_nettype wire
