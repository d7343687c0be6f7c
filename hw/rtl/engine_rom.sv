// A constant memory, word by word: in block memory, or in LUTs where it is so small that block memory would be wasted.
`default_nettype none

module engine_rom #(
    parameter int unsigned DEPTH = 512,  /// words
    parameter int unsigned WIDTH = 128,
    parameter              FILE  = "rom.mem",  /// $readmemh image, one word a line
    parameter int unsigned BLOCK_DEPTH = 129,  /// fewer words than this: LUTs, two per bit of 128 words
    localparam int unsigned AW = $clog2(DEPTH)
) (
    input  wire              clk,
    input  wire  [AW-1:0]    addr,
    output logic [WIDTH-1:0] data  /// one cycle after addr
);
    if (DEPTH >= BLOCK_DEPTH) begin : block_memory
        (* ram_style = "block" *) logic [WIDTH-1:0] mem[DEPTH];
        initial $readmemh(FILE, mem);
        always_ff @(posedge clk) data <= mem[addr];
    end else begin : luts
        // Two words at a time, and the choice behind the register: half as deep.
        logic [WIDTH-1:0] mem[DEPTH];
        logic [WIDTH-1:0] even, odd;
        logic             is_odd;
        initial $readmemh(FILE, mem);
        always_ff @(posedge clk) begin
            even <= mem[{addr[AW-1:1], 1'b0}];
            odd <= mem[{addr[AW-1:1], 1'b1}];
            is_odd <= addr[0];
        end
        assign data = is_odd ? odd : even;
    end
endmodule

`default_nettype wire
