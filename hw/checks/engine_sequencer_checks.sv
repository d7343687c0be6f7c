// Every frame's mode is in the program, and every tile lies in its layer and follows the order of the convolution. Where a layer has lists of
// active channels, a tuple's inputs are as many as its group has, which `engine_groups` says.
`default_nettype none

module engine_sequencer_checks
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned P     = 64,
    parameter int unsigned R     = 64,
    parameter int unsigned MODES = 5,
    parameter int unsigned PLANES = 3,
    parameter int unsigned HIGH_DIGITS = 0,
    parameter int unsigned LOW_DIGITS = 1,
    parameter bit          GATES = 0
) (
    input wire         clk,
    input wire         rst_n,
    /// The sequencer waits for a frame.
    input wire         waiting,
    input wire         image_valid,
    input wire  [7:0]  image_mode,
    // A whole record, of which these rules look at a part.
    // verilator lint_off UNUSEDSIGNAL
    input wire descriptor_t layer,
    // verilator lint_on UNUSEDSIGNAL
    input wire         side,
    input wire tile_t  tile,
    input wire  [8:0]  tile_in,
    /// Active inputs of the group, of the cycle before `tile`.
    input wire  [8:0]  group_inputs
);
    logic on;
    after_reset contracts (.clk, .rst_n, .on);

    always_ff @(posedge clk) if (on && waiting && image_valid)
        header: assert (32'(image_mode) < MODES)
            else $fatal(1, "a frame's header names mode %0d of %0d", image_mode, MODES);

    wire listed = GATES && (layer.in_list || layer.out_list);
    logic [8:0] inputs_q;
    always_ff @(posedge clk) inputs_q <= group_inputs;

    logic [5:0] size, height, width;
    logic [8:0] last_out, in_per_group, out_per_group;
    assign size = 6'd8 << layer.size;
    assign height = side ? 6'd4 : 6'(P / 8);
    assign width = side ? 6'd16 : 6'd8;
    assign last_out = tile.out + {8'd0, tile.pair};
    assign in_per_group = (MODES == 1) ? layer.in_count : layer.in_per_group;
    assign out_per_group = (MODES == 1) ? layer.out_count : layer.out_per_group;

    // Input number `number` of the image: pass after pass over the planes, each of their upper or of their lower nibbles.
    function automatic logic [8:0] nibble(logic [8:0] number);
        logic [8:0] pass = number / 9'(PLANES);
        logic lower = (HIGH_DIGITS != 0 && 32'(pass) / (HIGH_DIGITS | 32'(HIGH_DIGITS == 0)) == 1)
                      || 32'(pass) >= 2 * HIGH_DIGITS + LOW_DIGITS;
        return number % 9'(PLANES) + (lower ? 9'(PLANES) : 9'd0);
    endfunction

    logic [8:0] expected;
    assign expected = layer.image ? nibble(base + seen) : base + seen;

    // A tuple's inputs come one after the other, from the first of its group to the last; `seen` of them have come.
    // Likewise.
    // verilator lint_off UNUSEDSIGNAL
    tile_t      tuple;
    // verilator lint_on UNUSEDSIGNAL
    logic [8:0] base, seen;
    logic       open;
    always_ff @(posedge clk)
        if (!rst_n) open <= 1'b0;
        else if (tile.valid) begin
            open <= !tile.last;
            seen <= tile.first ? 9'd1 : seen + 9'd1;
            if (tile.first) begin
                tuple <= tile;
                base <= tile_in;
            end
        end

    always_ff @(posedge clk) if (on && tile.valid && tile.first) begin
        memories: assert (!layer.residual || layer.src)
            else $fatal(1, "a layer reads its source and its residual from X, which has one read port");
        pixels: assert (6'(tile.y) < size && 6'(tile.x) < size && (6'(tile.y) & (height - 6'd1)) == '0
                        && (6'(tile.x) & (width - 6'd1)) == '0)
            else $fatal(1, "a tile at row %0d, column %0d is no block of its %0d x %0d map", tile.y, tile.x, size, size);
        outputs: assert (last_out < layer.out_count)
            else $fatal(1, "a tile of output %0d lies outside its layer", last_out);
        groups: assert (listed || tile_in % in_per_group == '0 && tile_in / in_per_group == tile.out / out_per_group
                        && tile_in / in_per_group == last_out / out_per_group)
            else $fatal(1, "a tuple of outputs %0d to %0d begins with input %0d, not with the first of its group", tile.out,
                        last_out, tile_in);
    end

    always_ff @(posedge clk) if (on && tile.valid)
        blanks: assert (tile.blank == (listed && inputs_q == '0) && (!tile.blank || (tile.first && tile.last)))
            else $fatal(1, "a tile is blank although its group has active inputs, or is not although it has none");

    always_ff @(posedge clk) if (on && tile.valid && layer.image) begin
        passes: assert (32'(layer.in_count) == 2 * (HIGH_DIGITS + LOW_DIGITS) * PLANES)
            else $fatal(1, "a layer reads %0d nibbles of an image of %0d planes", layer.in_count, PLANES);
        shifts: assert (tile.first || tile.shift == (seen == 9'(HIGH_DIGITS * PLANES)
                                                     || seen == 9'((2 * HIGH_DIGITS + LOW_DIGITS) * PLANES)))
            else $fatal(1, "the sums of an image are shifted at the wrong input %0d", seen);
    end

    always_ff @(posedge clk) if (on && tile.valid) begin
        inputs: assert (tile_in < layer.in_count || tile.blank || (GATES && layer.in_count == layer.in_per_group  // kept within groups
                        && 32'(tile_in) < 32'(layer.in_per_group) * 32'(layer.groups)))
            else $fatal(1, "a tile of input %0d lies outside its layer", tile_in);
        order: assert (tile.first == !open && (tile.first || (tile_in == expected && tile.out == tuple.out
                       && tile.pair == tuple.pair && tile.y == tuple.y && tile.x == tuple.x)))
            else $fatal(1, "the tiles of a tuple are out of order at input %0d", tile_in);
        last: assert (tile.last == ((tile.first ? 9'd0 : seen) + 9'd1 == (listed ? inputs_q : in_per_group)) || tile.blank)
            else $fatal(1, "a tuple ends before or after the last input of its group: input %0d", tile_in);
    end

    // A tuple leaves R pixels a cycle; the next one must not be complete before.
    logic [5:0] leaving;
    always_ff @(posedge clk)
        if (!rst_n) leaving <= '0;
        else if (tile.last) leaving <= tile.pair ? 6'(2 * P / R - 1) : 6'(P / R - 1);
        else if (leaving != '0) leaving <= leaving - 6'd1;

    always_ff @(posedge clk) if (on && tile.last)
        spaced: assert (leaving == '0)
            else $fatal(1, "a tuple is complete while the one before still leaves the accumulators");
endmodule

bind engine_sequencer engine_sequencer_checks #(
    .P(P), .R(R), .MODES(MODES), .PLANES(PLANES), .HIGH_DIGITS(HIGH_DIGITS), .LOW_DIGITS(LOW_DIGITS), .GATES(GATES)
) checks (.waiting(state == IDLE), .group_inputs(here.in_count), .*);

`default_nettype wire
