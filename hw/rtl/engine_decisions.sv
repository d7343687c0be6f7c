// The decisions of a frame's gates, one bit each, until the frame's record has left.
//
// Two halves take turns: a frame's decisions come while the record of the one before is still being read. What a frame does not decide
// is 0.
`default_nettype none

module engine_decisions #(
    parameter int unsigned DECISIONS = 64,
    localparam int unsigned WORDS = (DECISIONS + 63) / 64,
    localparam int unsigned AW = (WORDS == 1) ? 1 : $clog2(WORDS)
) (
    input  wire          clk,
    input  wire          rst_n,
    input  wire          valid,
    // As wide as a descriptor's address; there are DECISIONS.
    // verilator lint_off UNUSEDSIGNAL
    input  wire [14:0]   number,
    // verilator lint_on UNUSEDSIGNAL
    input  wire          decision,
    input  wire          finish,    /// the frame ends; its decisions can be read until the next one does
    input  wire [AW-1:0] raddr,
    output wire [63:0]   word       /// in the same cycle
);
    logic        half, clearing;
    logic [AW:0] cleared;  // words of the half that is written
    always_ff @(posedge clk) begin
        if (!rst_n) half <= 1'b0;
        else if (finish) half <= !half;
        if (!rst_n || finish) begin
            clearing <= 1'b1;
            cleared <= '0;
        end else if (clearing) begin
            clearing <= cleared != (AW + 1)'(WORDS - 1);
            cleared <= cleared + 1'b1;
        end
    end
    wire [AW-1:0] waddr = clearing ? cleared[AW-1:0] : AW'(number >> 6);
    for (genvar b = 0; b < 64; b++) begin : column
        (* ram_style = "distributed" *) logic bits[2 << AW];
        always_ff @(posedge clk) if (clearing || (valid && number[5:0] == 6'(b))) bits[{half, waddr}] <= !clearing && decision;
        assign word[b] = bits[{!half, raddr}];
    end
endmodule

`default_nettype wire
