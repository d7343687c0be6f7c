// difference = minuend - x * weight for a two-bit x, multiple and subtraction in the same LUTs.
//
// It subtracts, and its users hand in negated weights, because yosys then leaves the multiple out of the carry
// chain's data input and one LUT per bit serves both. The hierarchy is kept because yosys would otherwise merge
// neighbouring additions into carry-save trees of about twice the size.
`default_nettype none

(* keep_hierarchy *)
module engine_digit_subtract
    import engine_pkg::*;
(
    input  wire  signed [6:0] minuend,
    input  wire  [1:0]        x,
    input  wire  signed [3:0] weight,
    input  wire  signed [5:0] triple,  /// 3 * weight
    output wire  signed [6:0] difference
);
    assign difference = minuend - 7'(multiple(x, weight, triple));
endmodule

`default_nettype wire
