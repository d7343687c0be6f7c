// The control of the tile engine: walks the program of a frame's mode, one descriptor per layer, and issues one tile
// per cycle.
//
// Order of a convolution: for each block, for each group, for each tuple of up to PE outputs of the group, for each
// input of the group: one tile. A tuple takes at least as many cycles as its outputs need on the way out
// (P * outputs / R); cycles without a tile fill up. After a layer the pipeline drains, since the next layer reads
// what this one writes; the next descriptor is fetched meanwhile.
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
    parameter int unsigned LATENCY = 12, /// cycles from the last tile's issue until its pixels can be read
    parameter int unsigned WEIGHT_AW = 12,
    parameter int unsigned PLANES      = 3,  /// of the image
    parameter int unsigned HIGH_DIGITS = 0,  /// kernels of the first layer that count 16 times
    parameter int unsigned LOW_DIGITS  = 1,
    localparam int unsigned PROGRAM_AW = $clog2(MODES * LAYERS)
) (
    input  wire                       clk,
    input  wire                       rst_n,
    // image buffers
    input  wire                       image_valid,
    input  wire  [7:0]                image_mode,
    input  wire                       image_buffer,
    output logic                      image_release,  /// the first layer has read the image
    // program
    output logic [PROGRAM_AW-1:0]     program_addr,
    input  wire  descriptor_t         program_data,   /// one cycle after program_addr
    output descriptor_t               layer,
    output logic                      side,           /// the layer works on 16x4 blocks
    output logic                      buffer,         /// image buffer of this frame
    // tiles
    output tile_t                     tile,
    output logic [8:0]                tile_in,        /// input channel of the tile
    output logic [PE-1:0][WEIGHT_AW-1:0] weight_addr, /// with the tile
    // tables
    input  wire                       tables_ready,   /// those of the next layer are loaded
    output wire                       tables_start,
    output wire  [$clog2(LAYERS)-1:0] tables_next,    /// layer whose tables are loaded next
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
    localparam int unsigned ONE = P / R, TWO = 2 * P / R;  // cycles that one or two outputs need on the way out
    localparam int unsigned DRAIN = LATENCY + PE * P / R - 1;
    localparam logic [5:0] BLOCK_HEIGHT = 6'(P / 8);

    typedef enum logic [2:0] {IDLE, FETCH, LOAD, RUN, DRAINING, LINEAR, FINISH} state_e;
    state_e state;

    logic [$clog2(LAYERS)-1:0] index;
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

    // Without modes there is one group, and its logic disappears.
    wire [8:0] in_per_group = (MODES == 1) ? layer.in_count : layer.in_per_group;
    wire [8:0] out_per_group = (MODES == 1) ? layer.out_count : layer.out_per_group;
    wire pair = (PE == 2) && left > 9'd1;
    wire [8:0] step = pair ? 9'd2 : 9'd1;
    wire [8:0] least = pair ? 9'(TWO) : 9'(ONE);
    wire [8:0] length = (in_per_group > least) ? in_per_group : least;
    wire tuple_end = k + 9'd1 == length;
    wire group_end = tuple_end && left <= step;
    wire block_end = group_end && (MODES == 1 || group + 5'd1 == layer.groups);
    wire [5:0] size = 6'd8 << layer.size;
    wire [5:0] next_x = side ? 6'd16 : x + 6'd8;
    wire [5:0] next_y = y + (side ? 6'd4 : BLOCK_HEIGHT);
    wire row_end = next_x == size;
    wire layer_end = block_end && row_end && next_y == size;
    wire [16:0] row_step = pair ? {7'd0, layer.in_count, 1'b0} : {8'd0, layer.in_count};

    // The image's tiles: passes over all planes, of upper nibbles (channels 0 on) or lower ones (channels PLANES on).
    localparam int unsigned SECOND = HIGH_DIGITS * PLANES, LAST = (2 * HIGH_DIGITS + LOW_DIGITS) * PLANES;
    wire  [8:0] nibble_channel;
    wire        shift = layer.image && ((HIGH_DIGITS != 0 && k == 9'(SECOND)) || k == 9'(LAST));
    if (HIGH_DIGITS == 0 && LOW_DIGITS == 1) begin : one_digit
        assign nibble_channel = in_base + k;
    end else begin : digits
        logic [8:0] plane;
        wire        lower = (k >= 9'(SECOND) && k < 9'(2 * SECOND)) || k >= 9'(LAST);
        always_ff @(posedge clk)
            if (state == LOAD || (state == RUN && (tuple_end || plane == 9'(PLANES - 1)))) plane <= '0;
            else if (state == RUN) plane <= plane + 9'd1;
        assign nibble_channel = layer.image ? (lower ? plane + 9'(PLANES) : plane) : in_base + k;
    end

    assign side = (P == 64) && layer.stride2 && layer.size == SIZE_16;
    assign image_release = state == DRAINING && wait_count == '0 && layer.image;
    assign finish = state == FINISH;
    wire   take = state == LOAD && tables_ready && (program_data.kind == 2'd0 || record_ready);
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
            linear_start <= 1'b0;
        end else begin
            cycles <= cycles + 32'd1;
            linear_start <= take && program_data.kind != 2'd0;
            case (state)
                IDLE: begin
                    index <= '0;
                    cycles <= 32'd1;
                    tiles <= '0;
                    mode <= image_mode;
                    buffer <= image_buffer;
                    if (image_valid && tables_ready) state <= FETCH;
                end
                FETCH: state <= LOAD;
                LOAD:
                    if (take) begin
                        layer <= program_data;
                        if (MODES == 1) begin
                            layer.groups <= '0;
                            layer.in_per_group <= '0;
                            layer.out_per_group <= '0;
                        end
                        index <= index + 1'b1;
                        state <= (program_data.kind == 2'd0) ? RUN : LINEAR;
                    end
                RUN: begin
                    if (k < in_per_group) tiles <= tiles + 32'd1;
                    if (layer_end) begin
                        state <= DRAINING;
                        wait_count <= 6'(DRAIN);
                    end
                end
                DRAINING: begin
                    wait_count <= wait_count - 6'd1;
                    if (wait_count == '0) state <= layer.last ? FINISH : LOAD;
                end
                LINEAR: if (linear_done) state <= layer.last ? FINISH : LOAD;
                default: state <= IDLE;
            endcase
        end

        if (state == LOAD) begin
            k <= '0;
            in_base <= '0;
            out <= '0;
            left <= (MODES == 1) ? program_data.out_count : program_data.out_per_group;
            group <= '0;
            y <= '0;
            x <= '0;
            row <= program_data.weight_base;
        end else if (state == RUN) begin
            k <= tuple_end ? '0 : k + 9'd1;
            if (tuple_end) begin
                out <= block_end ? '0 : out + step;
                row <= block_end ? layer.weight_base : row + row_step;
                left <= group_end ? out_per_group : left - step;
            end
            if (group_end) begin
                in_base <= block_end ? '0 : in_base + in_per_group;
                group <= block_end ? '0 : group + 5'd1;
            end
            if (block_end) begin
                x <= row_end ? '0 : next_x;
                if (row_end) y <= next_y;
            end
        end
    end

    wire [8:0] input_channel = in_base + k;
    // As wide as a descriptor's address; the memory has WEIGHT_AW bits of it.
    // verilator lint_off UNUSEDSIGNAL
    wire [16:0] row0 = row + 17'(input_channel);
    wire [16:0] row1 = row + 17'(layer.in_count) + 17'(input_channel);
    // verilator lint_on UNUSEDSIGNAL
    wire valid = rst_n && state == RUN && k < in_per_group;
    always_ff @(posedge clk) begin
        tile.valid <= valid;
        tile.first <= k == '0;
        tile.shift <= shift;
        tile.last <= valid && k + 9'd1 == in_per_group;
        tile.pair <= pair;
        tile.out <= out;
        tile.y <= y[4:0];
        tile.x <= x[4:0];
        tile_in <= nibble_channel;
        weight_addr[0] <= row0[WEIGHT_AW-1:0];
        if (PE == 2) weight_addr[PE-1] <= row1[WEIGHT_AW-1:0];
    end

    if (PE != 1 && PE != 2) begin : bad_pe
        $error("engine_sequencer: PE must be 1 or 2");
    end
    if (LAYERS != 2 ** $clog2(LAYERS)) begin : bad_layers
        $error("engine_sequencer: LAYERS must be a power of two");
    end
endmodule

`default_nettype wire
