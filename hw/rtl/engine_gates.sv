// What gates do between the sequencer and the lanes: lists of active channels, the groups that have some, and the channels of a tile.
`default_nettype none

module engine_gates
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned CHANNELS  = 64,  /// of a mask at most, a power of two
    parameter int unsigned PE        = 2,
    parameter int unsigned WEIGHT_AW = 12,
    parameter int unsigned MODES     = 5
) (
    input  wire                    clk,
    input  wire                    rst_n,
    // Of a whole record, a part.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  descriptor_t      coming,        /// the layer that comes next
    input  wire  descriptor_t      layer,         /// the one that runs
    // verilator lint_on UNUSEDSIGNAL
    // decisions of a channel gate
    input  wire                    gate_start,
    input  wire                    decision_valid,
    input  wire  [8:0]             decision_index,
    input  wire                    decision,
    // groups, see engine_sequencer
    input  wire                    list_start,
    input  wire                    groups_prepare,
    input  wire                    groups_advance,
    output wire                    groups_ready,
    output wire                    groups_empty,
    output group_t                 next_group,
    // positions, and channels three cycles later
    input  wire  tile_t            tile_at,
    input  wire  [8:0]             tile_in_at,
    input  wire  [8:0]             kernel_at,
    input  wire  [4:0]             tile_y_at,
    input  wire  [4:0]             tile_x_at,
    output tile_t                  tile,
    output wire  [8:0]             tile_in,
    output wire  [4:0]             tile_y,
    output wire  [4:0]             tile_x,
    output wire  [PE-1:0][WEIGHT_AW-1:0] weight_addr
);
    wire [1:0][8:0] out_at, out_channel;
    wire [8:0]      in_at, in_channel;
    wire [1:0][4:0] bound;
    wire [1:0][9:0] outs_below, ins_below;
    wire [15:0]     any_out;
    wire            in_list_busy;
    engine_masks #(.CHANNELS(CHANNELS)) masks (
        .clk, .rst_n, .gate_start, .out_count(layer.out_count),
        .decision_valid, .decision_index, .decision, .list_start, .shuffle(layer.shuffle), .busy(in_list_busy),
        .out_at, .in_at, .out_channel, .in_channel, .bound, .outs_below, .ins_below, .any_out
    );
    engine_groups #(.MODES(MODES)) walk (
        .clk, .rst_n, .prepare(groups_prepare), .of(coming), .in_list_busy,
        .bound, .outs_below, .ins_below, .any_out, .ready(groups_ready), .empty(groups_empty), .group(next_group), .advance(groups_advance)
    );
    engine_channels #(.PE(PE), .WEIGHT_AW(WEIGHT_AW)) channels (
        .clk, .rst_n, .tile_at, .tile_in_at, .kernel_at, .tile_y_at, .tile_x_at,
        .in_list(layer.in_list), .out_list(layer.out_list), .in_count(layer.in_count), .weight_base(layer.weight_base),
        .out_at, .in_at, .out_channel, .in_channel, .tile, .tile_in, .tile_y, .tile_x, .weight_addr
    );
endmodule

`default_nettype wire
