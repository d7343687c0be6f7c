// The weight memory: one 36-bit word per (output, input) channel pair, nine 4-bit taps, tap 3*ky+kx in bits 4t+3..4t.
//
// Two independent ports serve the PE outputs of a tuple, whichever two channels those are. With PE = 1 the second
// port is unused. Words arrive three cycles after their address: block memory, word choice, and a register on the way
// to the lanes.
`default_nettype none

module engine_weights #(
    parameter int unsigned PE    = 2,     /// outputs per tuple, 1 or 2
    parameter int unsigned DEPTH = 4096,  /// kernel words
    localparam int unsigned AW = $clog2(DEPTH)
) (
    input  wire                 clk,
    input  wire  [PE-1:0][AW-1:0] addr,
    input  wire                 blank,   /// two cycles after the address: zeros instead
    output logic [PE-1:0][35:0] kernel
);
    logic [1:0][35:0] word;
    engine_weight_column #(.DEPTH(DEPTH), .FILE("weights_0.mem")) column0 (
        .clk, .addr0(addr[0]), .addr1(addr[PE-1]), .data0(word[0][8:0]), .data1(word[1][8:0]));
    engine_weight_column #(.DEPTH(DEPTH), .FILE("weights_1.mem")) column1 (
        .clk, .addr0(addr[0]), .addr1(addr[PE-1]), .data0(word[0][17:9]), .data1(word[1][17:9]));
    engine_weight_column #(.DEPTH(DEPTH), .FILE("weights_2.mem")) column2 (
        .clk, .addr0(addr[0]), .addr1(addr[PE-1]), .data0(word[0][26:18]), .data1(word[1][26:18]));
    engine_weight_column #(.DEPTH(DEPTH), .FILE("weights_3.mem")) column3 (
        .clk, .addr0(addr[0]), .addr1(addr[PE-1]), .data0(word[0][35:27]), .data1(word[1][35:27]));

    logic [PE-1:0][35:0] chosen;
    always_ff @(posedge clk) begin
        for (int unsigned p = 0; p < PE; p++) chosen[p] <= word[p];
        kernel <= blank ? '0 : chosen;
    end
endmodule

`default_nettype wire
