// From three row sums to the accumulator of one lane, two cycles.
`default_nettype none

(* keep_hierarchy *)
module engine_accumulator
    import engine_pkg::*;
#(
    parameter int unsigned ACC_WIDTH = 18
) (
    input  wire                         clk,
    input  wire  signed [2:0][9:0]      partial,
    input  wire  control_t              control,  /// one cycle after `partial`
    output logic signed [ACC_WIDTH-1:0] acc
);
    wire  signed [10:0] two_rows = 11'($signed(partial[0])) + 11'($signed(partial[1]));
    logic signed [10:0] total;  // |9 * 7 * 15| = 945
    wire  signed [ACC_WIDTH-1:0] carried = control.first ? '0 : control.shift ? acc <<< 4 : acc;
    always_ff @(posedge clk) begin
        total <= two_rows + 11'($signed(partial[2]));
        if (control.valid) acc <= ACC_WIDTH'(total) + carried;
    end
endmodule

`default_nettype wire
