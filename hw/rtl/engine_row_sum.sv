// Three taps of one kernel row: sum of pixel * weight, pixels unsigned, as low digits + 4 * high digits.
(* keep_hierarchy *)
module engine_row_sum (
    input  wire  [11:0]       taps,
    input  wire  [11:0]       weights,
    input  wire  [17:0]       triples,  /// 3 * weight, 6 bits each
    output wire  signed [9:0] sum       /// |3 * 7 * 15| = 315
);
    wire signed [1:0][3:0][6:0] chain;  // per digit; |3 * 3 * 7| = 63
    for (genvar d = 0; d < 2; d++) begin : digit
        assign chain[d][0] = '0;
        for (genvar t = 0; t < 3; t++) begin : tap
            engine_digit_sum #(.WIDTH(7)) add (
                .addend(chain[d][t]), .x(taps[4*t+2*d+:2]), .weight(weights[4*t+:4]), .triple(triples[6*t+:6]),
                .sum(chain[d][t+1])
            );
        end
    end
    wire signed [6:0] low = chain[0][3], high = chain[1][3];
    assign sum = {8'(signed'(low[6:2])) + 8'(high), low[1:0]};
endmodule
