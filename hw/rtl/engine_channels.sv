// From the positions of a tile's inputs and outputs in the lists of active channels to the channels, and to the addresses of their
// kernels; three cycles.
//
// A layer without a list has its channels at the positions of their numbers.
`default_nettype none

module engine_channels
    import engine_pkg::*;
#(
    parameter int unsigned PE        = 2,
    parameter int unsigned WEIGHT_AW = 12
) (
    input  wire                    clk,
    input  wire                    rst_n,
    input  wire  tile_t            tile_at,      /// `out` is a position
    input  wire  [8:0]             tile_in_at,   /// of its input, among the nibbles of the image
    input  wire  [8:0]             kernel_at,    /// among the kernels of an output
    input  wire  [4:0]             tile_y_at,
    input  wire  [4:0]             tile_x_at,
    input  wire                    in_list,
    input  wire                    out_list,
    input  wire  [8:0]             in_count,     /// kernels of an output
    // As wide as a descriptor's address; the memory has WEIGHT_AW bits of it.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  [16:0]            weight_base,
    // verilator lint_on UNUSEDSIGNAL
    output wire  [1:0][8:0]        out_at,       /// to the lists, answered in the same cycle
    output wire  [8:0]             in_at,
    input  wire  [1:0][8:0]        out_channel,
    input  wire  [8:0]             in_channel,
    output tile_t                  tile,
    output logic [8:0]             tile_in,
    output logic [4:0]             tile_y,
    output logic [4:0]             tile_x,
    output logic [PE-1:0][WEIGHT_AW-1:0] weight_addr
);
    tile_t [1:0] stage;
    logic [1:0][8:0] stage_in;
    logic [1:0][4:0] stage_y, stage_x;
    logic [8:0]      kernel;
    logic [WEIGHT_AW-1:0] start;
    logic [1:0][WEIGHT_AW-1:0] row;
    assign out_at = {tile_at.out + 9'd1, tile_at.out};
    assign in_at = tile_in_at;
    always_ff @(posedge clk) begin
        stage[0] <= tile_at;
        stage[0].out <= out_list ? out_channel[0] : out_at[0];
        stage[0].second <= out_list ? out_channel[1] : out_at[1];
        kernel <= in_list ? in_channel : kernel_at;
        stage_in <= {stage_in[0], in_list ? in_channel : tile_in_at};
        stage_y <= {stage_y[0], tile_y_at};
        stage_x <= {stage_x[0], tile_x_at};
        stage[1] <= stage[0];
        start <= WEIGHT_AW'(weight_base) + WEIGHT_AW'(kernel);
        row[0] <= WEIGHT_AW'(stage[0].out) * WEIGHT_AW'(in_count);
        row[1] <= WEIGHT_AW'(stage[0].second) * WEIGHT_AW'(in_count);
        tile <= stage[1];
        tile_in <= stage_in[1];
        tile_y <= stage_y[1];
        tile_x <= stage_x[1];
        for (int unsigned p = 0; p < PE; p++) weight_addr[p] <= start + row[p];
        if (!rst_n) begin
            stage[0].valid <= 1'b0;
            stage[1].valid <= 1'b0;
            tile.valid <= 1'b0;
            stage[0].last <= 1'b0;
            stage[1].last <= 1'b0;
            tile.last <= 1'b0;
        end
    end
endmodule

`default_nettype wire
