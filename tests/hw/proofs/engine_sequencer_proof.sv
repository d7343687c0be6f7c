// The sequencer walks a convolution as nested loops do: block row, block, group, tuple of outputs, input; every tile once, in this
// order, with its kernels' addresses, and nothing before or behind. Descriptors, groups and handshakes are free.
//
// The loops here count what they have done and compare with what there is; the sequencer's registers, which know every end a cycle
// ahead, must agree with them at every step.
`default_nettype none

module engine_sequencer_proof
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter bit          GATES = 0,
    parameter bit          EXITS = 0,
    parameter bit          PACK = 0,
    parameter int unsigned PE = 2,
    parameter int unsigned R = 32,
    parameter int unsigned P = 64,
    parameter int unsigned MODES = 2,
    parameter int unsigned LAYERS = 4,
    parameter int unsigned WEIGHT_AW = 17
) (
    input wire              clk,
    input wire              rst_n,
    input wire              image_valid,
    input wire  [7:0]       image_mode,
    input wire              image_buffer,
    input wire  descriptor_t program_data,
    input wire              tables_ready,
    input wire              groups_ready,
    input wire              groups_empty,
    input wire  group_t     next_group,
    input wire              decision,
    input wire              exit_due,
    input wire              exit_looks,
    input wire              exit_sure,
    input wire              record_ready,
    input wire              linear_done
);
    localparam int unsigned ONE = P / R, LATENCY = 5, DRAIN = LATENCY + PE * P / R - 1;
    localparam int unsigned IW = $clog2(LAYERS);
    logic image_release, rest, side, packs, buffer, tables_start, groups_prepare, groups_advance, gate_start, list_start, linear_start, finish;
    logic frame_start, exit_passed;
    logic [$clog2(MODES * LAYERS)-1:0] program_addr;
    logic [IW-1:0] tables_next;
    descriptor_t layer;
    tile_t tile;
    logic [8:0] tile_in, tile_kernel;
    logic [4:0] tile_y, tile_x;
    logic [PE-1:0][WEIGHT_AW-1:0] weight_addr;
    logic [7:0] mode;
    logic [31:0] cycles, tiles;
    engine_sequencer #(
        .P(P), .PE(PE), .R(R), .MODES(MODES), .LAYERS(LAYERS), .LATENCY(LATENCY), .WEIGHT_AW(WEIGHT_AW), .GATES(GATES), .EXITS(EXITS), .PACK(PACK)
    ) dut (.*);

    typedef enum logic [2:0] {IDLE, FETCH, FETCHED, LOAD, RUN, DRAINING, LINEAR, FINISH} state_e;
    state_e state;
    assign state = state_e'(dut.state);
    logic started = 1'b0;
    always_ff @(posedge clk) if (!rst_n) started <= 1'b1;

    // ---- the layer as its descriptor has it, and the groups in the order in which they were taken
    descriptor_t d;
    group_t here, after;
    logic after_packs;  // whether they are groups of a packed layer
    wire coming_packs = PACK && program_data.discard && program_data.keep && program_data.stride2 && program_data.size == SIZE_8;
    wire take = state == LOAD && dut.take;
    wire begins = take && dut.take_groups;
    // A descriptor stands still from when it is looked at until it is taken or passed over.
    wire decided = dut.take || dut.pass_over;
    logic was_load, was_decided, was_reset, was_packs;
    descriptor_t was_data;
    always_ff @(posedge clk) begin
        was_load <= state == LOAD;
        was_decided <= decided;
        was_data <= program_data;
        was_reset <= !rst_n;
        was_packs <= coming_packs;
    end
    always_comb begin
        if (program_data.kind == KIND_CONV) assume (program_data.size != 2'd3 && program_data.groups != '0);
        assume (program_data.in_per_group != '0 && program_data.out_per_group != '0);
        assume (program_data.in_count != '0 && program_data.out_count != '0);
        // A group that is taken has outputs.
        assume (next_group.out_count != '0);
        if (was_load && !was_decided) assume (program_data == was_data);
        // Groups are looked for with the descriptor that is taken then, and come cycles after it.
        if (GATES && groups_advance && state != RUN) assume (program_data == was_data);
        if (was_reset) assume (!groups_ready);
        if (GATES && begins) assume (after_packs == coming_packs);
    end

    // ---- the loops
    logic [5:0] y, x;
    logic [4:0] g;
    logic [8:0] t, k, base, first_out;  // outputs of the group that are done, cycles of the tuple; of the group, of the block
    logic [16:0] row;
    wire [8:0] ins = GATES ? here.in_count : MODES == 1 ? d.in_count : d.in_per_group;
    wire [8:0] outs = GATES ? here.out_count : MODES == 1 ? d.out_count : d.out_per_group;
    wire [9:0] left = {1'b0, outs} - {1'b0, t};
    wire       two = PE == 2 && left >= 10'd2;
    wire quarters = PACK && d.discard && d.keep && d.stride2 && d.size == SIZE_8;
    wire [9:0] least = quarters ? 10'(4 * PE) : (GATES ? PE == 2 : two) ? 10'(2 * ONE) : 10'(ONE);
    wire [9:0] some = GATES && ins == '0 ? 10'd1 : {1'b0, ins};
    wire [9:0] length = some > least ? some : least;
    wire [9:0] hold = GATES ? length - some : '0;
    wire       runs = {1'b0, k} >= hold && {1'b0, k} < hold + some;
    wire [8:0] number = k - hold[8:0];
    wire [8:0] channel = (GATES ? here.in_base : base) + number;
    wire [8:0] step = two ? 9'd2 : 9'd1;
    wire [6:0] size = 7'd8 << d.size;
    wire       flat = P == 64 && d.stride2 && d.size == SIZE_16;
    wire [6:0] width = flat ? 7'd16 : 7'd8, height = flat ? 7'd4 : 7'(P / 8);
    wire tuple_end = {1'b0, k} + 10'd1 == length;
    wire group_end = tuple_end && left <= {1'b0, step};
    wire last_group = GATES ? here.last : MODES == 1 || {1'b0, g} + 6'd1 == {1'b0, d.groups};
    wire block_end = group_end && last_group;
    wire row_end = block_end && {1'b0, x} + width == size;
    wire map_end = row_end && {1'b0, y} + height == size;
    wire [5:0] drain = quarters ? 6'(DRAIN + 3 * PE) : 6'(DRAIN);
    logic [5:0] waited;
    always_ff @(posedge clk) begin
        if (take) begin
            d <= program_data;
            if (MODES == 1) {d.groups, d.in_per_group, d.out_per_group} <= '0;
        end
        if (groups_advance) begin
            after <= next_group;
            after_packs <= state == RUN ? quarters : coming_packs;
        end
        if (begins || (state == RUN && group_end)) here <= after;
        if (begins) begin
            {y, x, g, t, k, base, first_out} <= '0;
            row <= program_data.weight_base;
        end else if (state == RUN) begin
            k <= tuple_end ? '0 : k + 9'd1;
            if (tuple_end) begin
                t <= group_end ? '0 : t + step;
                row <= block_end ? d.weight_base : row + (two ? {7'd0, d.in_count, 1'b0} : {8'd0, d.in_count});
                first_out <= block_end ? '0 : first_out + step;
            end
            if (group_end) begin
                g <= block_end ? '0 : g + 5'd1;
                base <= block_end ? '0 : base + ins;
            end
            if (block_end) x <= row_end ? '0 : x + 6'(width);
            if (row_end) y <= y + 6'(height);
        end
        waited <= state == DRAINING ? waited + 6'd1 : '0;
    end

    // ---- what leaves, a cycle later
    tile_t expected;
    logic [8:0] expected_in;
    logic [PE-1:0][16:0] expected_row;
    logic was_run, ended, was_draining, was_drained, last_of_frame;
    always_ff @(posedge clk) begin
        was_run <= rst_n && state == RUN;
        ended <= rst_n && state == RUN && map_end;
        was_draining <= rst_n && state == DRAINING;
        was_drained <= rst_n && state == DRAINING && waited == drain;
        last_of_frame <= d.last;
        expected.valid <= rst_n && state == RUN && runs;
        expected.blank <= GATES && ins == '0;
        expected.first <= number == '0;
        expected.shift <= d.image && number == 9'd3;  // the lower nibbles of three planes follow
        expected.last <= {1'b0, k} + 10'd1 == (GATES ? length : some);
        expected.pair <= two;
        expected.out <= first_out;
        expected.second <= first_out + 9'd1;
        expected.y <= y[4:0];
        expected.x <= x[4:0];
        expected_in <= channel;
        expected_row[0] <= row + 17'(channel);
        if (PE == 2) expected_row[PE-1] <= row + 17'(d.in_count) + 17'(channel);
    end

    // What the sequencer keeps of a group that it is about to begin, or has begun.
    typedef struct packed {
        logic            pair, group_last, block_last, one_input, blank;
        logic [1:0]      one_cycle;
        logic [1:0][8:0] less_two;
        logic [8:0]      hold, in_base, in_count, out_count;
    } begin_t;
    function automatic begin_t begin_of(input logic [8:0] from, input logic [8:0] inputs, input logic [8:0] outputs, input logic last,
                                         input logic four);
        logic [8:0] tiles_of, length_of;
        tiles_of = GATES && inputs == '0 ? 9'd1 : inputs;
        for (int unsigned i = 0; i < 2; i++) begin
            length_of = four ? 9'(4 * PE) : (GATES ? PE == 2 : i == 1) ? 9'(2 * ONE) : 9'(ONE);
            if (tiles_of > length_of) length_of = tiles_of;
            begin_of.one_cycle[i] = length_of == 9'd1;
            begin_of.less_two[i] = length_of - 9'd2;
        end
        begin_of.pair = PE == 2 && outputs >= 9'd2;
        begin_of.group_last = outputs <= 9'(PE);
        begin_of.block_last = last;
        begin_of.one_input = inputs <= 9'd1;
        begin_of.blank = inputs == '0;
        begin_of.hold = GATES ? length_of - tiles_of : '0;
        begin_of.in_base = from - begin_of.hold;
        begin_of.in_count = inputs;
        begin_of.out_count = outputs;
    endfunction

    if (GATES) begin : ahead
        always_comb if (started) begin
            if (dut.take_groups) assert (dut.listed.filled);
            assert (dut.listed.running == (state == RUN));
            assert (was_reset || dut.listed.quarters == (state == RUN ? quarters : was_packs));
        end
        always_comb if (started && (state == RUN || dut.listed.filled)) begin
            assert (dut.there == begin_of(after.in_base, after.in_count, after.out_count, after.last, after_packs));
            assert (state != RUN || after_packs == quarters);
            assert (after.out_count != '0);
        end
    end

    // What decides on a descriptor says so a cycle later, once.
    if (GATES || EXITS) begin : ahead_of_it
        logic could, empty;
        always_ff @(posedge clk) begin
            could <= rst_n && dut.can_take && !dut.passes && !decided;
            empty <= groups_empty;
        end
        always_comb if (started) begin
            assert (dut.take == could && (!could || state == LOAD));
            assert (!dut.pass_over || (state == LOAD && !dut.take && EXITS && program_data.exit && program_data.kind == KIND_CONV));
            assert (dut.take_groups == (could && program_data.kind == KIND_CONV && !(GATES && empty)));
        end
        if (EXITS) begin : judged
            always_comb if (started && decided && dut.at_branch) assert (dut.exits.judged);
        end
    end else begin : at_once
        always_comb if (started && dut.take) assert (dut.take_groups == (program_data.kind == KIND_CONV));
    end

    always_comb if (started) begin
        // The loops stay within their bounds.
        if (state == RUN) begin
            assert (d.size != 2'd3 && (GATES || (ins != '0 && (MODES == 1 || d.groups != '0))) && outs != '0);
            assert ({1'b0, k} < length && t < outs && (GATES || MODES == 1 || g < d.groups));
            assert ({1'b0, x} < size && {1'b0, y} < size);
            assert (x[2:0] == '0 && (!flat || x[3] == '0) && y[1:0] == '0 && (height[2] || y[2] == '0));
        end
        // The registers agree with them.
        if (state == RUN || state == DRAINING || state == LINEAR || state == FINISH) assert (layer == d);
        if (state == RUN) begin
            assert (side == flat && dut.one_block == (width == size));
            assert (dut.k == k && dut.out == first_out && dut.left == left[8:0] && left[9] == 1'b0);
            assert (dut.x == x && dut.y == y && dut.row == row);
            assert (GATES || (dut.in_base == base && dut.group == g));
            assert (!GATES || dut.in_base == here.in_base - hold[8:0]);
            assert (packs == quarters && dut.pair == two && dut.active == runs);
            assert (dut.less_two == length[8:0] - 9'd2);
            assert (dut.tuple_last == tuple_end);
            assert (GATES || dut.input_last == ({1'b0, k} + 10'd1 == some) || k >= ins);
            assert (dut.group_last == (left <= 10'(PE)));
            assert (dut.block_last == last_group);
            assert (dut.row_last == ({1'b0, x} + width == size) && dut.map_last == ({1'b0, y} + height == size));
            assert (dut.here == begin_of(GATES ? here.in_base : '0, ins, outs, GATES ? here.last : MODES == 1 || d.groups == 5'd1, quarters));
        end
        if (state == DRAINING) assert (dut.wait_count + waited == drain && waited <= drain);
        // What it is all for.
        assert (tile.valid == expected.valid);
        if (tile.valid) begin
            assert (tile.first == expected.first && tile.last == expected.last && tile.blank == expected.blank);
            assert (tile.pair == expected.pair && tile.out == expected.out && tile.second == expected.second);
            assert (tile.y == expected.y && tile.x == expected.x && tile.shift == expected.shift);
            assert (expected.blank || tile_in == expected_in);
            for (int unsigned i = 0; i < PE; i++) assert (expected.blank || weight_addr[i] == expected_row[i][WEIGHT_AW-1:0]);
        end
        if (ended) assert (state == DRAINING);
        if (was_run && !ended) assert (state == RUN);
        if (was_draining && !was_drained) assert (state == DRAINING);
        if (was_drained) assert (state == (last_of_frame ? FINISH : LOAD));
        assert (finish == (state == FINISH));
    end
endmodule

`default_nettype wire
