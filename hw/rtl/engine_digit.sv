// The multiple 0, w, 2w or 3w of a weight that a two-bit digit selects; the odd one comes ready made.
module engine_digit (
    input  wire  [1:0]        x,
    input  wire  signed [3:0] weight,
    input  wire  signed [5:0] triple,   /// 3 * weight
    output logic signed [5:0] multiple
);
    always_comb
        case (x)
            2'd0: multiple = '0;
            2'd1: multiple = 6'(weight);
            2'd2: multiple = {weight[3], weight, 1'b0};
            default: multiple = triple;
        endcase
endmodule
