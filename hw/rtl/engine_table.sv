// A table that every pixel of a word looks up for itself, in two copies: one is read while the other is written.
//
// Copies of LUT memory with one write port; three readers share one, which is what the part's LUTs offer.
`default_nettype none

module engine_table #(
    parameter int unsigned READERS = 64,
    parameter int unsigned DEPTH   = 64,  /// entries, a power of two, at most 64
    parameter int unsigned WIDTH   = 4,
    localparam int unsigned AW = $clog2(DEPTH)
) (
    input  wire                           clk,
    input  wire                           copy,   /// the copy that is read
    input  wire                           we,     /// writes the other one
    input  wire  [AW-1:0]                 waddr,
    input  wire  [WIDTH-1:0]              wdata,
    input  wire  [READERS-1:0][AW-1:0]    raddr,
    output wire  [READERS-1:0][WIDTH-1:0] rdata   /// in the same cycle
);
    localparam int unsigned SHARED = 3;
    for (genvar g = 0; g < READERS; g += SHARED) begin : group
        localparam int unsigned COUNT = (READERS - g < SHARED) ? READERS - g : SHARED;
        if (DEPTH <= 32) begin : both
            (* ram_style = "distributed" *) logic [WIDTH-1:0] mem[2*DEPTH];
            always_ff @(posedge clk) if (we) mem[{!copy, waddr}] <= wdata;
            for (genvar r = 0; r < COUNT; r++) begin : reader
                assign rdata[g+r] = mem[{copy, raddr[g+r]}];
            end
        end else begin : apart
            wire [1:0][COUNT-1:0][WIDTH-1:0] found;
            for (genvar k = 0; k < 2; k++) begin : half
                (* ram_style = "distributed" *) logic [WIDTH-1:0] mem[DEPTH];
                always_ff @(posedge clk) if (we && copy != 1'(k)) mem[waddr] <= wdata;
                for (genvar r = 0; r < COUNT; r++) begin : reader
                    assign found[k][r] = mem[raddr[g+r]];
                end
            end
            for (genvar r = 0; r < COUNT; r++) begin : chosen
                assign rdata[g+r] = found[copy][r];
            end
        end
    end
endmodule

`default_nettype wire
