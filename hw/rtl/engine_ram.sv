// A memory that a network image fills, word by word: in block memory, or in LUTs where it is so small that block memory would be wasted.
`default_nettype none

module engine_ram #(
    parameter int unsigned DEPTH = 512,  /// words
    parameter int unsigned WIDTH = 128,
    parameter int unsigned BLOCK_DEPTH = 129,  /// fewer words than this: LUTs, a pair of them for a bit of 128 words
    localparam int unsigned AW = $clog2(DEPTH)
) (
    input  wire              clk,
    input  wire              we,
    input  wire  [AW-1:0]    waddr,
    input  wire  [WIDTH-1:0] wdata,
    input  wire  [AW-1:0]    addr,
    output logic [WIDTH-1:0] data  /// one cycle after addr
);
    if (DEPTH >= BLOCK_DEPTH) begin : block_memory
        (* ram_style = "block" *) logic [WIDTH-1:0] mem[DEPTH];
        always_ff @(posedge clk) begin
            if (we) mem[waddr] <= wdata;
            data <= mem[addr];
        end
    end else begin : luts
        // Even and odd words, and the choice between them behind the register: half as deep.
        (* ram_style = "distributed" *) logic [WIDTH-1:0] evens[(DEPTH + 1) / 2];
        (* ram_style = "distributed" *) logic [WIDTH-1:0] odds[(DEPTH + 1) / 2];
        logic [WIDTH-1:0] even, odd;
        logic             is_odd;
        always_ff @(posedge clk) begin
            if (we && !waddr[0]) evens[waddr[AW-1:1]] <= wdata;
            if (we && waddr[0]) odds[waddr[AW-1:1]] <= wdata;
            even <= evens[addr[AW-1:1]];
            odd <= odds[addr[AW-1:1]];
            is_odd <= addr[0];
        end
        assign data = is_odd ? odd : even;
    end
endmodule

`default_nettype wire
