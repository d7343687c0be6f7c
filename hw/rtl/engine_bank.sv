// One row bank of a feature memory.
//
// A word holds one row of one channel: 32 pixels of 4 bits, pixel 0 in the low nibble. A write touches any of the
// four 8-pixel chunks of a word, or any of their halves; a read returns the whole word one cycle later. A word that is written and read in
// the same cycle returns its old contents.
`default_nettype none

module engine_bank #(
    parameter int unsigned DEPTH  = 64,  /// words
    parameter int unsigned CHUNKS = 4    /// 4, or 8 half ones
) (
    input  wire                      clk,
    input  wire  [CHUNKS-1:0]        we,
    input  wire  [$clog2(DEPTH)-1:0] waddr,
    input  wire  [127:0]             wdata,
    input  wire  [$clog2(DEPTH)-1:0] raddr,
    output logic [127:0]             rdata
);
    // One memory per chunk: byte enables would keep the tools from using LUT memory.
    localparam int unsigned BITS = 128 / CHUNKS;
    for (genvar c = 0; c < CHUNKS; c++) begin : chunk
        (* ram_style = "distributed" *) logic [BITS-1:0] mem[DEPTH];
        always_ff @(posedge clk) begin
            if (we[c]) mem[waddr] <= wdata[BITS*c+:BITS];
            rdata[BITS*c+:BITS] <= mem[raddr];
        end
    end
endmodule

`default_nettype wire
