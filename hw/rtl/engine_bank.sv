// One row bank of a feature memory.
//
// A word holds one row of one channel: 32 pixels of 4 bits, pixel 0 in the low nibble. A write touches any of the
// four 8-pixel chunks of a word; a read returns the whole word one cycle later. A word that is written and read in
// the same cycle returns its old contents.
`default_nettype none

module engine_bank #(
    parameter int unsigned DEPTH = 64  /// words
) (
    input  wire                      clk,
    input  wire  [3:0]               we,     /// one enable per 8-pixel chunk
    input  wire  [$clog2(DEPTH)-1:0] waddr,
    input  wire  [127:0]             wdata,
    input  wire  [$clog2(DEPTH)-1:0] raddr,
    output logic [127:0]             rdata
);
    // One memory per chunk: byte enables would keep the tools from using LUT memory.
    for (genvar c = 0; c < 4; c++) begin : chunk
        (* ram_style = "distributed" *) logic [31:0] mem[DEPTH];
        always_ff @(posedge clk) begin
            if (we[c]) mem[waddr] <= wdata[32*c+:32];
            rdata[32*c+:32] <= mem[raddr];
        end
    end
endmodule

`default_nettype wire
