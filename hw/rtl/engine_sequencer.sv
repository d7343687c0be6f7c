// The control of the tile engine: walks the program of a frame's mode, one descriptor per layer, and issues one tile
// per cycle.
//
// Order of a convolution: for each block, for each group, for each tuple of up to PE outputs of the group, for each
// input of the group: one tile. A tuple takes at least as many cycles as its outputs need on the way out
// (P * outputs / R); cycles without a tile fill up. After a layer the pipeline drains, since the next layer reads
// what this one writes; the next descriptor is fetched meanwhile.
//
// With GATES a layer may have lists of its active outputs and inputs (`engine_masks`). Outputs and inputs then are positions in
// them, a group has as many of either as are active, a tuple that waits for the requantisers does so before its tiles, and groups without active outputs do not happen (`engine_groups`). A tuple
// without active inputs takes one blank tile. Where a packed layer has four outputs in the place of one (`engine_lanes`), so has its
// descriptor, and their tuples take as long as eight outputs need on the way out. A gate is a step of the program; where a layer gate says no, its descriptor, and that of
// the shortcut if there is one, says how many of the next ones are skipped.
//
// With EXITS, where a descriptor says `exit`, `engine_exits` says whether the branch that begins there is computed, which the frame may
// end with; else as many descriptors as it says are skipped.
//
// With GATES or EXITS too much decides on whether a descriptor is taken, or passed over, for the cycle in which that happens: a register
// says it a cycle later. Behind a convolution this takes no cycle: its LATENCY is as much shorter.
//
// The first layer reads the image's nibbles. A weight w = 16 * sum of HIGH_DIGITS kernels + sum of LOW_DIGITS kernels
// and a pixel p = 16 * upper + lower give four kinds of tiles, whose sums count 256, 16, 16 and 1 times: high kernels with
// upper nibbles; high with lower and low with upper ones; low with lower ones. Each pass takes all planes, and the sums
// are shifted by four bits before the second kind and before the last.
`default_nettype none

module engine_sequencer
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned P      = 64,
    parameter int unsigned PE     = 2,
    parameter int unsigned R      = 64,
    parameter int unsigned MODES  = 5,
    parameter int unsigned LAYERS = 16,  /// descriptors per mode, a power of two
    parameter int unsigned LATENCY = 13, /// cycles from the last tile's issue until the next layer's tiles may follow
    parameter int unsigned WEIGHT_AW = 12,
    parameter int unsigned PLANES      = 3,  /// of the image
    parameter int unsigned HIGH_DIGITS = 0,  /// kernels of the first layer that count 16 times
    parameter int unsigned LOW_DIGITS  = 1,
    parameter bit          GATES       = 0,
    parameter bit          EXITS       = 0,
    parameter bit          PACK        = 0,  /// with packed layers; needs GATES
    localparam int unsigned PROGRAM_AW = $clog2(MODES * LAYERS)
) (
    input  wire                       clk,
    input  wire                       rst_n,
    // image buffers
    input  wire                       image_valid,
    input  wire  [7:0]                image_mode,
    input  wire                       image_buffer,
    output logic                      image_release,  /// the first layer has read the image
    output wire                       rest,           /// no frame is computed
    // program
    output logic [PROGRAM_AW-1:0]     program_addr,
    input  wire  descriptor_t         program_data,   /// two cycles after program_addr
    output descriptor_t               layer,
    output logic                      side,           /// the layer works on 16x4 blocks
    output logic                      packs,          /// quarters of the lanes work on outputs of their own
    output logic                      buffer,         /// image buffer of this frame
    // tiles
    output tile_t                     tile,           /// its outputs are positions where the layer has a list
    output logic [8:0]                tile_in,        /// input of the tile, likewise
    output logic [8:0]                tile_kernel,    /// among the kernels of an output
    output logic [4:0]                tile_y,         /// first row and column of its windows in the source map
    output logic [4:0]                tile_x,
    output logic [PE-1:0][WEIGHT_AW-1:0] weight_addr, /// with the tile
    // tables
    input  wire                       tables_ready,   /// those of the next layer are loaded
    output wire                       tables_start,
    output wire  [$clog2(LAYERS)-1:0] tables_next,    /// layer whose tables are loaded next
    // gates; without them the inputs are not looked at
    // verilator lint_off UNUSEDSIGNAL
    output logic                      groups_prepare, /// of the layer that comes next: program_data
    output wire                       groups_advance,
    input  wire                       groups_ready,
    input  wire                       groups_empty,
    input  wire  group_t              next_group,
    output logic                      gate_start,     /// `layer`, a channel gate, begins
    output logic                      list_start,     /// `layer` begins, whose outputs are listed as inputs
    input  wire                       decision,       /// of a layer gate, with linear_done
    // exits; likewise
    input  wire                       exit_due,       /// a frame that comes to the exit at hand stops there
    input  wire                       exit_looks,     /// its branch is computed, and then `exit_sure` tells
    input  wire                       exit_sure,      /// three cycles after linear_done
    output wire                       frame_start,
    output wire                       exit_passed,    /// the frame goes on behind the exit at hand
    // verilator lint_on UNUSEDSIGNAL
    // vector unit
    input  wire                       record_ready,   /// the previous frame's record has left
    output logic                      linear_start,
    input  wire                       linear_done,
    // results
    output logic                      finish,         /// one cycle at the end of a frame
    output logic [7:0]                mode,
    output logic [31:0]               cycles,
    output logic [31:0]               tiles
);
    localparam logic [8:0] ONE = 9'(P / R);  // cycles that an output needs on the way out
    localparam logic [1:0][8:0] LEAST = {ONE + ONE, ONE};  // tuples of one output (0), of two (1)
    localparam logic [8:0] PACKED_LEAST = 9'(4 * PE);
    localparam int unsigned DRAIN = LATENCY + PE * P / R - 1;
    localparam int unsigned PACKED_DRAIN = DRAIN + 3 * PE;
    localparam logic [5:0] BLOCK_HEIGHT = 6'(P / 8);

    typedef enum logic [2:0] {IDLE, FETCH, FETCHED, LOAD, RUN, DRAINING, LINEAR, FINISH} state_e;
    state_e state;
    assign rest = state == IDLE;

    localparam int unsigned IW = $clog2(LAYERS);
    logic [IW-1:0] index;
    if (MODES == 1) begin : single_mode
        assign program_addr = index;
    end else begin : many_modes
        assign program_addr = {mode[PROGRAM_AW-$clog2(LAYERS)-1:0], index};
    end

    // Position in the layer.
    logic [8:0] k, in_base, out, left;
    logic [4:0] group;
    logic [5:0] y, x;
    logic [16:0] row;  // weight address of (out, 0)
    logic [5:0] wait_count;

    // Ends are known a cycle ahead: a register for each says that this cycle is the tuple's last, this tuple its group's last, and so
    // on, from the layer's first cycle (set beside `layer`, from the memory's register) or from the counters before they step.
    logic pair, active, input_last, tuple_last, group_last, block_last, row_last, map_last;
    logic [8:0] less_two;  // length of the tuple, less two
    logic layer_on;  // what the last layer gate decided
    wire tuple_end = tuple_last;
    wire group_end = tuple_end && group_last;
    wire block_end = group_end && block_last;
    wire row_end = block_end && row_last;
    wire layer_end = row_end && map_last;

    // At the begin of a group and of its tuples.
    typedef struct packed {
        logic            pair, group_last, block_last, one_input, blank;
        logic [1:0]      one_cycle;   // tuples of one output (0), of two (1), take one cycle
        logic [1:0][8:0] less_two;    // their lengths, less two
        logic [8:0]      hold;        // cycles of a tuple before its first tile
        logic [8:0]      in_base, in_count, out_count;
    } begin_t;
    function automatic begin_t begin_of(input group_t of, input logic quarters);
        begin_t found;
        logic [8:0] length, least;
        found.in_count = of.in_count;
        found.out_count = of.out_count;
        found.pair = (PE == 2) && of.out_count > 9'd1;
        found.group_last = of.out_count <= 9'(PE);
        found.block_last = of.last;
        found.one_input = of.in_count <= 9'd1;
        found.blank = of.in_count == 9'd0;
        for (int unsigned i = 0; i < 2; i++) begin
            least = (PACK && quarters) ? PACKED_LEAST : LEAST[GATES ? PE - 1 : i];
            length = (of.in_count > least) ? of.in_count : least;
            found.one_cycle[i] = length == 9'd1;
            found.less_two[i] = length - 9'd2;
        end
        found.hold = GATES ? length - (found.blank ? 9'd1 : of.in_count) : '0;
        found.in_base = of.in_base - found.hold;
        return found;
    endfunction
    // Of the group that runs, of the next one, and of the first of the layer that is loaded. Without modes there is one group, and
    // its logic disappears; without gates all groups of a layer are alike. Without pairs or modes, less of it is looked at.
    // verilator lint_off UNUSEDSIGNAL
    begin_t here, there, first;
    // verilator lint_on UNUSEDSIGNAL
    wire group_ready;  // the first group is known, or there is none
    wire no_group;
    wire conv = program_data.kind == KIND_CONV;
    wire passes, linear_end, stop;  // see below
    wire can_take = state == LOAD && tables_ready && (conv ? group_ready : program_data.kind != KIND_CLASSIFIER || record_ready);
    wire take, take_groups, pass_over;  // the descriptor is taken, and it is a convolution that has groups; or it is passed over
    if (GATES || EXITS) begin : decided_before
        logic taken, has_groups, passed;
        wire  takes = rst_n && can_take && !passes && !take && !pass_over;
        always_ff @(posedge clk) begin
            taken <= takes;
            has_groups <= takes && conv && !no_group;
            passed <= rst_n && passes;
        end
        assign {take, take_groups, pass_over} = {taken, has_groups, passed};
    end else begin : decided_now
        assign {take, take_groups, pass_over} = {can_take, can_take && conv && !no_group, passes};
    end
    // A layer that only sums 4x4 pixels.
    wire new_packs = PACK && program_data.discard && program_data.keep && program_data.stride2 && program_data.size == SIZE_8;
    if (GATES) begin : listed
        begin_t after;
        logic   filled;
        logic   running;   // state == RUN
        logic   quarters;  // of the layer whose groups are taken
        wire    goes_on = running && !layer_end;
        assign first = after;
        assign there = after;
        assign group_ready = !groups_prepare && (filled || groups_empty);
        assign no_group = groups_empty;
        assign groups_advance = (groups_ready && !filled) || take_groups || (running && group_end);
        always_ff @(posedge clk) begin
            running <= rst_n && (take_groups || goes_on);
            quarters <= goes_on ? packs : new_packs;
            if (groups_advance) after <= begin_of(next_group, quarters);
            if (take_groups || (running && group_end)) here <= after;
            filled <= rst_n && !groups_prepare && (filled || groups_ready);
            groups_prepare <= rst_n && (state == FETCHED || (state == DRAINING && wait_count == 6'(DRAIN - 2)));
            gate_start <= take && program_data.kind == KIND_GATE && !program_data.layer_gate;
            list_start <= take && conv && program_data.list;
        end
    end else begin : whole
        begin_t all;
        assign first = begin_of('{
            last: MODES == 1 || program_data.groups == 5'd1,
            in_base: '0,
            in_count: (MODES == 1) ? program_data.in_count : program_data.in_per_group,
            out_count: (MODES == 1) ? program_data.out_count : program_data.out_per_group
        }, 1'b0);
        always_ff @(posedge clk) if (state == LOAD) all <= first;
        assign here = all;
        assign there = all;
        assign group_ready = 1'b1;
        assign no_group = 1'b0;
        assign {groups_prepare, groups_advance, gate_start, list_start} = '0;
    end
    // Of the layer that is loaded, and of the one that runs: blocks of 16x4, one block a row, one row of blocks.
    wire  new_side = (P == 64) && program_data.stride2 && program_data.size == SIZE_16;
    wire  new_row = new_side || program_data.size == SIZE_8;
    wire  new_map = (6'd8 << program_data.size) == (new_side ? 6'd4 : BLOCK_HEIGHT);
    logic one_block;
    // The next tuple, in this group or in the next.
    wire next_pair = group_last ? there.pair : (PE == 2) && left > 9'd3;
    wire next_group_last = group_last ? there.group_last : left <= 9'(2 * PE);
    // A whole record, of which this looks at a part.
    // verilator lint_off UNUSEDSIGNAL
    wire begin_t next_tuple = group_last ? there : here;
    // verilator lint_on UNUSEDSIGNAL

    wire [8:0] step = pair ? 9'd2 : 9'd1;
    wire [5:0] size = 6'd8 << layer.size;
    wire [5:0] width = side ? 6'd16 : 6'd8, height = side ? 6'd4 : BLOCK_HEIGHT;
    wire [5:0] next_x = x + width, next_y = y + height;
    wire [16:0] row_step = pair ? {7'd0, layer.in_count, 1'b0} : {8'd0, layer.in_count};

    // The image's tiles: passes over all planes, of upper nibbles (channels 0 on) or lower ones (channels PLANES on).
    localparam int unsigned SECOND = HIGH_DIGITS * PLANES, LAST = (2 * HIGH_DIGITS + LOW_DIGITS) * PLANES;
    wire  [8:0] nibble_channel;
    wire  [8:0] input_number = k - (GATES ? here.hold : '0);
    wire        shift = layer.image && ((HIGH_DIGITS != 0 && input_number == 9'(SECOND)) || input_number == 9'(LAST));
    if (HIGH_DIGITS == 0 && LOW_DIGITS == 1) begin : one_digit
        assign nibble_channel = in_base + k;
    end else begin : digits
        logic [8:0] plane;
        wire        lower = (input_number >= 9'(SECOND) && input_number < 9'(2 * SECOND)) || input_number >= 9'(LAST);
        always_ff @(posedge clk)
            if (state == LOAD || (state == RUN && (tuple_end || plane == 9'(PLANES - 1)))) plane <= '0;
            else if (state == RUN && (!GATES || active)) plane <= plane + 9'd1;
        assign nibble_channel = layer.image ? (lower ? plane + 9'(PLANES) : plane) : in_base + k;
    end

    // Exits: whether the branch is computed is known in the first cycle that its descriptor is looked at.
    wire at_branch = EXITS && conv && program_data.exit;
    if (EXITS) begin : exits
        logic judged, stops;
        logic [2:0] ended;  // cycles after the logits, until their margin has been compared
        wire layer_exit = layer.kind == KIND_CLASSIFIER && !layer.last;
        wire looking = layer_exit && !stops;
        wire at_exit = state == LOAD && at_branch && !judged;
        assign passes = at_exit && !exit_due && !exit_looks;
        assign linear_end = looking ? ended[2] : linear_done;
        assign stop = layer_exit && (stops || exit_sure);
        always_ff @(posedge clk) begin
            judged <= rst_n && (judged || at_exit) && !take && !pass_over;
            if (at_exit) stops <= exit_due;
            ended <= {ended[1:0], linear_done};
        end
        assign frame_start = state == IDLE;
        assign exit_passed = pass_over || (state == LINEAR && linear_end && layer_exit && !stop);
    end else begin : no_exits
        assign linear_end = linear_done;
        assign {passes, stop, frame_start, exit_passed} = '0;
    end

    logic linear_taken;
    assign image_release = state == DRAINING && wait_count == '0 && layer.image;
    assign finish = state == FINISH;
    assign tables_start = take;
    assign tables_next = program_data.last ? '0 : index + 1'b1;

    always_ff @(posedge clk) begin
        if (!rst_n) begin
            state <= IDLE;
            mode <= '0;
            index <= '0;
            buffer <= 1'b0;
            cycles <= '0;
            tiles <= '0;
            layer <= '0;
            linear_taken <= 1'b0;
            linear_start <= 1'b0;
        end else begin
            cycles <= cycles + 32'd1;
            linear_taken <= take && !conv;
            linear_start <= linear_taken;  // the last pooled sums arrive
            case (state)
                IDLE: begin
                    index <= '0;
                    cycles <= 32'd1;
                    tiles <= '0;
                    mode <= image_mode;
                    layer_on <= 1'b1;
                    buffer <= image_buffer;
                    if (image_valid && tables_ready) state <= FETCH;
                end
                FETCH: state <= FETCHED;
                FETCHED: state <= LOAD;
                LOAD:
                    if (pass_over) begin
                        index <= index + 1'b1 + IW'(program_data.skip);
                        state <= FETCH;
                    end else if (take) begin
                        layer <= program_data;
                        if (MODES == 1) begin
                            layer.groups <= '0;
                            layer.in_per_group <= '0;
                            layer.out_per_group <= '0;
                        end
                        index <= index + 1'b1 + ((GATES && conv && !layer_on && !at_branch) ? IW'(program_data.skip) : '0);
                        state <= !conv ? LINEAR : take_groups ? RUN : FETCH;
                    end
                RUN: begin
                    if (active && !(GATES && here.blank)) tiles <= tiles + 32'd1;
                    wait_count <= packs ? 6'(PACKED_DRAIN) : 6'(DRAIN);
                    if (layer_end) state <= DRAINING;
                end
                DRAINING: begin
                    wait_count <= wait_count - 6'd1;
                    if (wait_count == '0) state <= layer.last ? FINISH : LOAD;
                end
                LINEAR:
                    if (linear_end) begin
                        state <= (layer.last || stop) ? FINISH : (GATES || EXITS) ? FETCH : LOAD;
                        if (GATES && layer.kind == KIND_GATE && layer.layer_gate) begin
                            layer_on <= decision;
                            if (!decision) index <= index + IW'(layer.skip);
                        end
                    end
                default: state <= IDLE;
            endcase
        end

        if (take) begin  // not before: the layer before may still be on its way out
            side <= new_side;
            packs <= new_packs;
        end
        if (state == LOAD) begin
            one_block <= new_row;
            k <= '0;
            in_base <= first.in_base;
            out <= '0;
            left <= first.out_count;
            group <= '0;
            y <= '0;
            x <= '0;
            row <= program_data.weight_base;
            pair <= first.pair;
            less_two <= first.less_two[first.pair];
            active <= first.hold == '0;
            input_last <= first.one_input;
            tuple_last <= first.one_cycle[first.pair];
            group_last <= first.group_last;
            block_last <= first.block_last;
            row_last <= new_row;
            map_last <= new_map;
        end else if (state == RUN) begin
            k <= tuple_end ? '0 : k + 9'd1;
            active <= tuple_end ? next_tuple.hold == '0 : GATES ? active || k + 9'd1 == here.hold : active && !input_last;
            input_last <= tuple_end ? next_tuple.one_input : k + 9'd2 == here.in_count;
            tuple_last <= tuple_end ? next_tuple.one_cycle[next_pair] : k == less_two;
            if (tuple_end) begin
                out <= block_end ? '0 : out + step;
                row <= block_end ? layer.weight_base : row + row_step;
                left <= group_end ? there.out_count : left - step;
                pair <= next_pair;
                less_two <= next_tuple.less_two[next_pair];
                group_last <= next_group_last;
            end
            if (group_end) begin
                in_base <= GATES ? there.in_base : block_end ? '0 : in_base + here.in_count;
                group <= block_end ? '0 : group + 5'd1;
                block_last <= GATES ? there.block_last : MODES == 1 || (block_last ? there.block_last : group + 5'd2 == layer.groups);
            end
            if (block_end) begin
                x <= row_end ? '0 : next_x;
                row_last <= row_last ? one_block : next_x + width == size;
            end
            if (row_end) begin
                y <= next_y;
                map_last <= next_y + height == size;
            end
        end
    end

    wire [8:0] input_channel = in_base + k;
    // As wide as a descriptor's address; the memory has WEIGHT_AW bits of it.
    // verilator lint_off UNUSEDSIGNAL
    wire [16:0] row0 = row + 17'(input_channel);
    wire [16:0] row1 = row + 17'(layer.in_count) + 17'(input_channel);
    // verilator lint_on UNUSEDSIGNAL
    wire valid = rst_n && state == RUN && active;
    always_ff @(posedge clk) begin
        tile.valid <= valid;
        tile.blank <= GATES && here.blank;
        tile.first <= input_number == '0;
        tile.shift <= shift;
        tile.last <= valid && (GATES ? tuple_last : input_last);
        tile.pair <= pair;
        tile.out <= out;
        tile.second <= out + 9'd1;
        tile.y <= y[4:0];
        tile.x <= x[4:0];
        tile_in <= nibble_channel;
        tile_kernel <= input_channel;
        tile_y <= layer.stride2 ? {y[3:0], 1'b0} : y[4:0];
        tile_x <= layer.stride2 ? {x[3:0], 1'b0} : x[4:0];
        weight_addr[0] <= row0[WEIGHT_AW-1:0];
        if (PE == 2) weight_addr[PE-1] <= row1[WEIGHT_AW-1:0];
    end

    if (PE != 1 && PE != 2) begin : bad_pe
        $error("engine_sequencer: PE must be 1 or 2");
    end
    if (PACK && !(GATES && P == R)) begin : bad_pack
        $error("engine_sequencer: PACK needs GATES and as many requantisers as lanes");
    end
    if (LAYERS != 2 ** $clog2(LAYERS)) begin : bad_layers
        $error("engine_sequencer: LAYERS must be a power of two");
    end
endmodule

`default_nettype wire
