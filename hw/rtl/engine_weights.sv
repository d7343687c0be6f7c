// The weight memory: one 36-bit word per (output, input) channel pair, nine 4-bit taps, tap 3*ky+kx in bits 4t+3..4t.
//
// Two independent ports serve the PE outputs of a tuple, whichever two channels those are. With PE = 1 the second
// port is unused. With PACK the kernels of some layers lie in four such memories, the first PACK words of each, from which each quarter
// of the lanes has its own; otherwise all have the same. Words arrive three cycles after their address: block memory, word choice, and a register on the way
// to the lanes.
`default_nettype none

module engine_weights #(
    parameter int unsigned PE    = 2,     /// outputs per tuple, 1 or 2
    parameter int unsigned DEPTH = 4096,  /// kernel words
    parameter int unsigned PACK  = 0,     /// words of the other three memories
    localparam int unsigned AW = $clog2(DEPTH), QUARTERS = (PACK != 0) ? 4 : 1
) (
    input  wire                 clk,
    input  wire  [PE-1:0][AW-1:0] addr,
    input  wire                 blank,   /// two cycles after the address: zeros instead
    // Of some engines.
    // verilator lint_off UNUSEDSIGNAL
    input  wire                 packs, /// each quarter has its own, in this layer
    // verilator lint_on UNUSEDSIGNAL
    output logic [QUARTERS-1:0][PE-1:0][35:0] kernel
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

    logic [QUARTERS-1:0][PE-1:0][35:0] chosen;
    always_ff @(posedge clk) begin
        for (int unsigned p = 0; p < PE; p++) chosen[0][p] <= word[p];
        for (int unsigned q = 0; q < QUARTERS; q++) kernel[q] <= blank ? '0 : chosen[packs ? q : 0];
    end
    if (PACK != 0) begin : quarters
        localparam int unsigned PW = $clog2(PACK);
        wire [1:0][PW-1:0] at = {addr[PE-1][PW-1:0], addr[0][PW-1:0]};
        wire [3:1][1:0][35:0] own;
        always_ff @(posedge clk)
            for (int unsigned q = 1; q < 4; q++)
                for (int unsigned p = 0; p < PE; p++) chosen[q][p] <= own[q][p];
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_0_1.mem")) column0_1 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[1][0][8:0]), .data1(own[1][1][8:0]));
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_1_1.mem")) column1_1 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[1][0][17:9]), .data1(own[1][1][17:9]));
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_2_1.mem")) column2_1 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[1][0][26:18]), .data1(own[1][1][26:18]));
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_3_1.mem")) column3_1 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[1][0][35:27]), .data1(own[1][1][35:27]));
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_0_2.mem")) column0_2 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[2][0][8:0]), .data1(own[2][1][8:0]));
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_1_2.mem")) column1_2 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[2][0][17:9]), .data1(own[2][1][17:9]));
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_2_2.mem")) column2_2 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[2][0][26:18]), .data1(own[2][1][26:18]));
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_3_2.mem")) column3_2 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[2][0][35:27]), .data1(own[2][1][35:27]));
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_0_3.mem")) column0_3 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[3][0][8:0]), .data1(own[3][1][8:0]));
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_1_3.mem")) column1_3 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[3][0][17:9]), .data1(own[3][1][17:9]));
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_2_3.mem")) column2_3 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[3][0][26:18]), .data1(own[3][1][26:18]));
        engine_weight_column #(.DEPTH(PACK), .FILE("weights_3_3.mem")) column3_3 (
            .clk, .addr0(at[0]), .addr1(at[1]), .data0(own[3][0][35:27]), .data1(own[3][1][35:27]));
    end
endmodule

`default_nettype wire
