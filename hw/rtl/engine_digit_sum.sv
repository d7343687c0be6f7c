// sum = addend + x * weight for a two-bit x, in one LUT per bit: the multiple 0, w, 2w or 3w is chosen in the same
// LUT that feeds the carry chain. The odd multiple comes ready made, since all lanes share it.
//
// A module of its own with its hierarchy kept, because yosys would otherwise merge neighbouring additions into
// carry-save trees of about twice the size.
(* keep_hierarchy *)
module engine_digit_sum #(
    parameter int unsigned WIDTH = 7  /// of addend and sum, at least 6
) (
    input  wire  signed [WIDTH-1:0] addend,
    input  wire  [1:0]              x,
    input  wire  signed [3:0]       weight,
    input  wire  signed [5:0]       triple,  /// 3 * weight
    output wire  signed [WIDTH-1:0] sum
);
    logic signed [5:0] multiple;
    always_comb
        case (x)
            2'd0: multiple = '0;
            2'd1: multiple = 6'(weight);
            2'd2: multiple = {weight[3], weight, 1'b0};
            default: multiple = triple;
        endcase
    assign sum = WIDTH'(multiple) + addend;
endmodule
