// The weight memory: one 36-bit word per (output, input) channel pair, nine 4-bit taps, tap 3*ky+kx in bits 4t+3..4t.
//
// Two independent ports serve the PE outputs of a tuple, whichever two channels those are. With PE = 1 the second
// port is unused. With PACK the kernels of some layers lie in four such memories, the first PACK words of each, from which each quarter
// of the lanes has its own; otherwise all have the same. A network image writes two kernels a cycle, while no tile runs. Words arrive three cycles after their address: block memory, word choice, and a register on the way
// to the lanes.
`default_nettype none

module engine_weights
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned PE    = 2,     /// outputs per tuple, 1 or 2
    parameter int unsigned DEPTH = 4096,  /// kernel words
    parameter int unsigned PACK  = 0,     /// words of the other three memories
    localparam int unsigned AW = $clog2(DEPTH), QUARTERS = (PACK != 0) ? 4 : 1
) (
    input  wire                 clk,
    // Of which the memories here look at a part.
    // verilator lint_off UNUSEDSIGNAL
    input  wire load_t           load,
    // verilator lint_on UNUSEDSIGNAL
    input  wire  [PE-1:0][AW-1:0] addr,
    input  wire                 blank,   /// two cycles after the address: zeros instead
    // Of some engines.
    // verilator lint_off UNUSEDSIGNAL
    input  wire                 packs, /// each quarter has its own, in this layer
    // verilator lint_on UNUSEDSIGNAL
    output logic [QUARTERS-1:0][PE-1:0][35:0] kernel
);
    // Of both ports: the addresses of a tuple's kernels, or of a pair that is written.
    localparam int unsigned FIRST = MEMORY_WEIGHTS;
    wire loads = load.write[FIRST+:QUARTERS] != '0;
    wire [1:0][AW-1:0] at = {
        loads ? {load.addr[AW-1:1], 1'b1} : addr[PE-1], loads ? {load.addr[AW-1:1], 1'b0} : addr[0]};
    wire [1:0][35:0] written = {load.upper, load.beats[3]};

    // In banks, which is how deep a block memory of nine bits is, so that the writes of a bank's columns are decided once.
    localparam int unsigned BANK = 4096;
    logic [QUARTERS-1:0][PE-1:0][35:0] chosen;
    for (genvar q = 0; q < QUARTERS; q++) begin : quarter
        localparam int unsigned WORDS = (q == 0) ? DEPTH : PACK, BANKS = (WORDS + BANK - 1) / BANK;
        localparam int unsigned BW = (BANKS == 1) ? 1 : $clog2(BANKS);
        wire [1:0][16:0] place = {17'(at[1]), 17'(at[0])};
        wire [BANKS-1:0][1:0][35:0] word;
        logic [1:0][BW-1:0] bank;
        always_ff @(posedge clk) bank <= {place[1][12+:BW], place[0][12+:BW]};
        for (genvar b = 0; b < BANKS; b++) begin : banks
            localparam int unsigned LEFT = WORDS - b * BANK, SIZE = (LEFT > BANK) ? BANK : LEFT, SW = $clog2(SIZE);
            wire here = load.write[FIRST+q] && (BANKS == 1 || load.addr[12+:BW] == BW'(b));
            for (genvar c = 0; c < 4; c++) begin : nine
                engine_weight_column #(.DEPTH(SIZE)) column (
                    .clk, .we({here && load.second, here}), .addr0(place[0][SW-1:0]), .addr1(place[1][SW-1:0]),
                    .wdata0(written[0][9*c+:9]), .wdata1(written[1][9*c+:9]), .data0(word[b][0][9*c+:9]), .data1(word[b][1][9*c+:9])
                );
            end
        end
        always_ff @(posedge clk) begin
            for (int unsigned p = 0; p < PE; p++) chosen[q][p] <= word[(BANKS == 1) ? '0 : bank[p]][p];
            kernel[q] <= blank ? '0 : chosen[packs ? q : 0];
        end
    end
endmodule

`default_nettype wire
