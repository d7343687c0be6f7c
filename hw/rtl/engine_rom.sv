// A constant memory, word by word: in block memory, or in LUTs where it is so small that block memory would be wasted.
`default_nettype none

module engine_rom #(
    parameter int unsigned DEPTH = 512,  /// words
    parameter int unsigned WIDTH = 128,
    parameter              FILE  = "rom.mem",  /// $readmemh image, one word a line
    localparam int unsigned BLOCK_DEPTH = 129  /// fewer words than this: LUTs, two per bit of 128 words
) (
    input  wire                      clk,
    input  wire  [$clog2(DEPTH)-1:0] addr,
    output logic [WIDTH-1:0]         data  /// one cycle after addr
);
    if (DEPTH >= BLOCK_DEPTH) begin : block_memory
        (* ram_style = "block" *) logic [WIDTH-1:0] mem[DEPTH];
        initial $readmemh(FILE, mem);
        always_ff @(posedge clk) data <= mem[addr];
    end else begin : luts
        logic [WIDTH-1:0] mem[DEPTH];
        initial $readmemh(FILE, mem);
        always_ff @(posedge clk) data <= mem[addr];
    end
endmodule

`default_nettype wire
