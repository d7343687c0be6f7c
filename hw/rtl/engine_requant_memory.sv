// Scale and bias of every (layer, mode, output channel): 54 bits, {bias, scale}, two cycles after the address.
`default_nettype none

module engine_requant_memory
    import engine_pkg::*;
#(
    parameter int unsigned DEPTH = 512  /// entries
) (
    input  wire                           clk,
    input  wire  [$clog2(DEPTH)-1:0]      addr,
    output logic signed [SCALE_WIDTH-1:0] scale,
    output logic signed [BIAS_WIDTH-1:0]  bias
);
    (* ram_style = "block" *) logic [SCALE_WIDTH+BIAS_WIDTH-1:0] mem[DEPTH];
    logic [SCALE_WIDTH+BIAS_WIDTH-1:0] word;
    initial $readmemh("requant.mem", mem);
    always_ff @(posedge clk) begin
        word <= mem[addr];
        {bias, scale} <= word;
    end
endmodule

`default_nettype wire
