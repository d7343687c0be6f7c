// Scale and bias of every (layer, mode, output channel): 54 bits, {bias, scale}, two cycles after the address.
`default_nettype none

module engine_requant_memory
    import engine_pkg::*;
#(
    parameter int unsigned DEPTH = 512,  /// entries
    parameter bit          EXCITE = 0    /// scales may be factors
) (
    input  wire                           clk,
    input  wire                           we,
    input  wire  [$clog2(DEPTH)-1:0]      waddr,
    input  wire  [SCALE_WIDTH+BIAS_WIDTH-1:0] wdata,
    input  wire  [$clog2(DEPTH)-1:0]      addr,
    // For factors alone.
    // verilator lint_off UNUSEDSIGNAL
    input  wire                           excite,  /// the layer takes factors, rounded half up
    input  wire  [SCALE_WIDTH-2:0]        factor,  /// one cycle after the address
    // verilator lint_on UNUSEDSIGNAL
    output logic signed [SCALE_WIDTH-1:0] scale,
    output logic signed [BIAS_WIDTH-1:0]  bias
);
    (* ram_style = "block" *) logic [SCALE_WIDTH+BIAS_WIDTH-1:0] mem[DEPTH];
    localparam logic [BIAS_WIDTH-1:0] HALF = 1 << (REQUANT_SHIFT - BIAS_SHIFT - 1);  // the shift rounds down
    logic [SCALE_WIDTH+BIAS_WIDTH-1:0] word;
    always_ff @(posedge clk) begin
        if (we) mem[waddr] <= wdata;
        word <= mem[addr];
        {bias, scale} <= (EXCITE && excite) ? {HALF, 1'b0, factor} : word;
    end
endmodule

`default_nettype wire
