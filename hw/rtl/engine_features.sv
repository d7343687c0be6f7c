// A feature memory: 16 row banks with one read and one write port each.
//
// Row r of a channel lies in bank r mod 16, so that any 16 consecutive rows come in one cycle. Every bank has its own
// read address, because such rows may cross a multiple of 16; a write never crosses one, so all banks share its
// address.
`default_nettype none

module engine_features #(
    parameter int unsigned DEPTH  = 64,  /// words per bank
    parameter int unsigned CHUNKS = 4,   /// of a word, see engine_bank
    localparam int unsigned AW = $clog2(DEPTH)
) (
    input  wire                clk,
    input  wire  [15:0][CHUNKS-1:0] we,
    input  wire  [AW-1:0]      waddr,
    input  wire  [15:0][127:0] wdata,
    input  wire  [15:0][AW-1:0] raddr,
    output logic [15:0][127:0] rdata   /// one cycle after raddr
);
    for (genvar b = 0; b < 16; b++) begin : bank
        engine_bank #(.DEPTH(DEPTH), .CHUNKS(CHUNKS)) memory (
            .clk, .we(we[b]), .waddr, .wdata(wdata[b]), .raddr(raddr[b]), .rdata(rdata[b])
        );
    end
endmodule

`default_nettype wire
