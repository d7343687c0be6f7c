// One pixel of one output channel: nine 4-bit products, their sum, and the accumulator.
//
// The taps are unsigned, the weights signed. Three cycles from taps and kernel to the accumulator; `first`, `shift`
// and `valid` belong to the taps two cycles earlier, that is, they arrive with the finished sum.
module engine_lane
    import engine_pkg::*;
(
    input  wire                         clk,
    input  wire  [35:0]                 taps,
    input  wire  [35:0]                 kernel,
    input  wire                         valid,
    input  wire                         first,
    input  wire                         shift,
    output logic signed [ACC_WIDTH-1:0] acc
);
    logic signed [2:0][9:0] partial;  // one per kernel row: |3 * 7 * 15| = 315
    logic signed [10:0] total;        // |9 * 7 * 15| = 945

    for (genvar r = 0; r < 3; r++) begin : kernel_row
        wire signed [2:0][8:0] product;
        for (genvar c = 0; c < 3; c++) begin : tap
            wire signed [4:0] pixel = {1'b0, taps[4*(3*r+c)+:4]};
            wire signed [3:0] weight = kernel[4*(3*r+c)+:4];
            assign product[c] = pixel * weight;
        end
        always_ff @(posedge clk) partial[r] <= 10'($signed(product[0])) + 10'($signed(product[1])) + 10'($signed(product[2]));
    end

    wire signed [ACC_WIDTH-1:0] carried = first ? '0 : shift ? acc <<< 4 : acc;
    always_ff @(posedge clk) begin
        total <= 11'($signed(partial[0])) + 11'($signed(partial[1])) + 11'($signed(partial[2]));
        if (valid) acc <= ACC_WIDTH'(total) + carried;
    end
endmodule
