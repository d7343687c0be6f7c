// Nine bits of every kernel word, in true dual-port block memory: two kernels per cycle from unrelated addresses.
//
// Nine bits by 4096 words is the shape in which a block memory wastes nothing and the word multiplexer stays small.
`default_nettype none

module engine_weight_column #(
    parameter int unsigned DEPTH = 4096,  /// words
    parameter              FILE  = ""     /// $readmemh image, one 9-bit word a line
) (
    input  wire                      clk,
    input  wire  [$clog2(DEPTH)-1:0] addr0,
    input  wire  [$clog2(DEPTH)-1:0] addr1,
    output logic [8:0]               data0,  /// one cycle after addr0
    output logic [8:0]               data1
);
    (* ram_style = "block" *) logic [8:0] mem[DEPTH];
    initial if (FILE != "") $readmemh(FILE, mem);
    always_ff @(posedge clk) data0 <= mem[addr0];
    always_ff @(posedge clk) data1 <= mem[addr1];
endmodule

`default_nettype wire
