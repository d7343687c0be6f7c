// Nine bits of the kernel words of a bank, in true dual-port block memory: two kernels per cycle, read from unrelated addresses or
// written.
//
// Nine bits by 4096 words is the shape in which a block memory wastes nothing and the word multiplexer stays small.
`default_nettype none

module engine_weight_column #(
    parameter int unsigned DEPTH = 4096  /// words
) (
    input  wire                      clk,
    input  wire  [1:0]               we,     /// the word is written, and what was there is read
    input  wire  [$clog2(DEPTH)-1:0] addr0,
    input  wire  [$clog2(DEPTH)-1:0] addr1,
    input  wire  [8:0]               wdata0,
    input  wire  [8:0]               wdata1,
    output logic [8:0]               data0,  /// one cycle after addr0
    output logic [8:0]               data1
);
    (* ram_style = "block" *) logic [8:0] mem[DEPTH];
    // Two ports write one memory, which an always_ff does not describe.
    always @(posedge clk) begin
        if (we[0]) mem[addr0] <= wdata0;
        data0 <= mem[addr0];
    end
    always @(posedge clk) begin
        if (we[1]) mem[addr1] <= wdata1;
        data1 <= mem[addr1];
    end
endmodule

`default_nettype wire
