// The same function as engine_lane, shaped for 6-input LUTs with carry chains; what synthesis takes.
//
// A pixel is two digits of two bits; each digit adds 0, w, 2w or 3w in one carry chain. The odd multiples are made
// once for all lanes.
(* keep_hierarchy *)
module engine_lane_mapped
    import engine_pkg::*;
(
    input  wire                         clk,
    input  wire  [35:0]                 taps,
    input  wire  [35:0]                 kernel,
    input  wire  [53:0]                 triples,  /// 3 * weight, 6 bits each
    input  wire                         valid,
    input  wire                         first,
    input  wire                         shift,
    output logic signed [ACC_WIDTH-1:0] acc
);
    wire  signed [2:0][9:0] row;
    logic signed [2:0][9:0] partial;
    logic signed [10:0]     total;
    for (genvar r = 0; r < 3; r++) begin : kernel_row
        engine_row_sum sum (
            .taps(taps[12*r+:12]), .weights(kernel[12*r+:12]), .triples(triples[18*r+:18]), .sum(row[r])
        );
    end
    wire signed [10:0] two_rows = 11'($signed(partial[0])) + 11'($signed(partial[1]));
    wire signed [ACC_WIDTH-1:0] carried = first ? '0 : shift ? acc <<< 4 : acc;
    always_ff @(posedge clk) begin
        partial <= row;
        total <= two_rows + 11'($signed(partial[2]));
        if (valid) acc <= ACC_WIDTH'(total) + carried;
    end
endmodule
