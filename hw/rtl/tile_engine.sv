// The tile engine: a convolutional network, layer after layer, on one set of pixel lanes.
//
// In: a stream of frames, one header beat (mode in bits 7:0) and the image, plane after plane, eight pixels a beat, filled
// up to a multiple of 16 beats.
// Before the first frame comes a network image, which fills all memories; others may come between frames (engine_loader).
// Out: one result record per frame. All weights and feature maps stay on chip. Every lane uses the same weights in a
// cycle, so a channel pair that the mode switches off is a cycle that does not happen.
//
// Stages, counted from the sequencer's registered tile (0): 1 addresses, 2 memory rows, 3 rotated, 4 window, 5 taps and kernels,
// 6 products, 7 sums of rows, 8 their sum, 9 accumulators, 10..13 the requantiser's DSP, 14 pixels, 15 write. With TABLES 14 are
// levels, 15 sums with what the residual's code is worth, 16 pixels; POOL2 adds two stages more before the write.
`default_nettype none

module tile_engine
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned P             = 64,    /// pixel lanes: 64 or 32
    parameter int unsigned PE            = 2,     /// output channels per tile: 1 or 2
    parameter int unsigned R             = 64,    /// requantisers: 8 to P, divides P
    parameter int unsigned V             = 16,    /// products per cycle of the vector unit, a power of two
    parameter int unsigned X_DEPTH       = 64,    /// words per bank of X
    parameter int unsigned M_DEPTH       = 64,    /// words per bank of M
    parameter int unsigned IMAGE_BASE    = 32,    /// first word of the image buffers in M
    parameter int unsigned PLANES        = 3,     /// planes of the image
    parameter int unsigned IMAGE_SIZE    = 32,    /// their height and width: 8, 16 or 32
    parameter int unsigned HIGH_DIGITS   = 0,     /// kernels of the first layer that count 16 times
    parameter int unsigned LOW_DIGITS    = 1,     /// its other kernels
    parameter int unsigned ACC_WIDTH     = 18,    /// bits of an accumulator: 18 to 21
    parameter int unsigned POOL_WIDTH    = 10,    /// bits of a pooled sum: 10, 12 or 14 for maps of 8, 16 or 32 pixels
    parameter bit          TABLES        = 0,     /// layers have bounds and tables of their own
    parameter int unsigned POOL2         = 0,     /// 2x2 pools: bit 0 of codes (max), bit 1 of levels (sum; needs TABLES)
    parameter bit          MASK          = 0,     /// maps are smaller than they are stored
    parameter int unsigned GATES         = 0,     /// channels of the widest gate's mask at most, a power of two; 0: no gates
    parameter int unsigned DECISIONS     = 0,     /// decisions of all gates, which the record carries
    parameter int unsigned EXITS         = 0,     /// early exits; 0: none
    parameter int unsigned HIDDEN        = 0,     /// hidden units of the layer gates' LSTM; 0: no LSTM
    parameter int unsigned FACTORS       = 0,     /// of squeeze-and-excitation at most, a power of two; 0: none
    parameter int unsigned INNER         = 0,     /// its hidden units at most
    parameter int unsigned PRODUCTS      = 2,     /// entries of the table of products, of either
    parameter int unsigned PACK          = 0,     /// kernels that each quarter of the lanes has of its own, for gates; 0: none
    parameter int unsigned WEIGHT_DEPTH  = 4096,  /// kernels
    parameter int unsigned REQUANT_DEPTH = 512,   /// scale and bias pairs
    parameter int unsigned FC_DEPTH      = 64,    /// words of V fully connected weights
    parameter int unsigned MODES         = 5,     /// of a network at most
    parameter int unsigned LAYERS        = 16,    /// descriptors per mode, a power of two
    parameter int unsigned CLASSES       = 10,
    parameter int unsigned BIASES        = CLASSES,  /// of the classifier, then of the gates, then of the exits
    parameter int unsigned POOL_DEPTH    = 4,     /// words of V pooled sums, at least 2
    parameter int unsigned MULT_DSP      = 0,     /// pixel pairs whose products are made in DSP48s
    parameter bit          REQUANT_DSP   = 1,     /// the requantisers' products are made in DSP48s
    parameter logic [31:0] ENGINE_HASH   = 32'h0  /// that a network image must name
) (
    input  wire         clk,
    input  wire         rst_n,
    // For gates alone.
    // verilator lint_off UNUSEDSIGNAL
    input  wire gate_host_t gate_host,
    // For exits alone.
    input  wire exit_host_t exit_host,
    // verilator lint_on UNUSEDSIGNAL
    output wire         network_done,   /// a network image is written
    output wire  [7:0]  network_error,  /// it cannot be, for this reason; until the next reset
    output wire  [7:0]  network_modes,  /// modes of the network
    input  wire  [63:0] s_axis_tdata,
    input  wire         s_axis_tvalid,
    output wire         s_axis_tready,
    output wire  [63:0] m_axis_tdata,
    output wire         m_axis_tvalid,
    input  wire         m_axis_tready
);
    localparam int unsigned U = R / 8, WORDS = P / R;
    localparam bit          POOL = POOL2 != 0, PACKED = PACK != 0;
    localparam int unsigned CHUNKS = POOL ? 8 : 4;
    // Stages: of finished accumulators, of the address of their requantisation, of the pixels before and after a pool.
    localparam int unsigned ACC = 9, REQUANT = ACC - 2, CODE = ACC + (TABLES ? 7 : 5), DONE = CODE + (POOL ? 2 : 0);
    localparam int unsigned XW = $clog2(X_DEPTH), MW = $clog2(M_DEPTH);
    localparam int unsigned WEIGHT_AW = $clog2(WEIGHT_DEPTH), REQUANT_AW = $clog2(REQUANT_DEPTH);
    localparam int unsigned PROGRAM_AW = $clog2(MODES * LAYERS);

    // ---- the network
    // Its memories' addresses and words have as many bits as the largest.
    // verilator lint_off UNUSEDSIGNAL
    load_t load;
    // verilator lint_on UNUSEDSIGNAL
    wire        network_start, network_valid, network_last;
    wire [31:0] network_blocks;
    engine_network #(
        .ENGINE_HASH(ENGINE_HASH), .V(V), .WEIGHT_DEPTH(WEIGHT_DEPTH), .PACK(PACK), .REQUANT_DEPTH(REQUANT_DEPTH),
        .FC_DEPTH(FC_DEPTH), .BIASES(BIASES), .MODES(MODES), .PROGRAM_DEPTH(MODES * LAYERS),
        .PRODUCTS((HIDDEN != 0 || FACTORS != 0) ? PRODUCTS : 0), .TABLE_DEPTH(TABLES ? 64 * LAYERS : 0)
    ) network (
        .clk, .rst_n, .start(network_start), .blocks(network_blocks), .valid(network_valid), .data(s_axis_tdata),
        .last(network_last), .load, .done(network_done), .error(network_error), .modes(network_modes)
    );

    // ---- program and control
    wire  [DESCRIPTOR_WIDTH-1:0] program_word;
    wire  [PROGRAM_AW-1:0]       program_addr;
    engine_ram #(.DEPTH(MODES * LAYERS), .WIDTH(DESCRIPTOR_WIDTH), .BLOCK_DEPTH(1)) program_memory (
        .clk, .we(load.write[MEMORY_PROGRAM]), .waddr(load.addr[PROGRAM_AW-1:0]), .wdata(DESCRIPTOR_WIDTH'(load.beats[3:1])),
        .addr(program_addr), .data(program_word));
    descriptor_t program_data;
    always_ff @(posedge clk) program_data <= descriptor_t'(program_word);

    wire         image_valid, image_buffer, image_release, rest, buffer, side, packs;
    wire  [7:0]  image_mode, mode;
    // A descriptor's fields have several users, inside and outside of this module.
    // verilator lint_off UNUSEDSIGNAL
    descriptor_t layer;
    // verilator lint_on UNUSEDSIGNAL
    tile_t       tile;
    wire  [8:0]  tile_in;
    wire  [4:0]  tile_y, tile_x;
    wire  [PE-1:0][WEIGHT_AW-1:0] weight_addr;
    tile_t       tile_at;
    wire  [8:0]  tile_in_at;
    wire  [4:0]  tile_y_at, tile_x_at;
    // With gates alone, or without.
    // verilator lint_off UNUSEDSIGNAL
    wire  [PE-1:0][WEIGHT_AW-1:0] weight_addr_at;
    wire  [8:0]  kernel_at;
    wire         groups_prepare, groups_advance, gate_start, list_start;
    // verilator lint_on UNUSEDSIGNAL
    wire         groups_ready, groups_empty;
    group_t      next_group;
    // For gates alone.
    // verilator lint_off UNUSEDSIGNAL
    wire         decision_valid, decision;
    wire  [8:0]  decision_index;
    // verilator lint_on UNUSEDSIGNAL
    wire         logit_valid;
    wire  [8:0]  logit_index, best;
    wire signed [31:0] logit;
    wire         tables_ready;
    // For tables alone.
    // verilator lint_off UNUSEDSIGNAL
    wire         tables_start;
    wire  [$clog2(LAYERS)-1:0] tables_next;
    // verilator lint_on UNUSEDSIGNAL
    // For exits alone.
    // verilator lint_off UNUSEDSIGNAL
    wire         frame_start, exit_passed;
    wire  [31:0] margin;
    // verilator lint_on UNUSEDSIGNAL
    wire         exit_due, exit_looks, exit_sure;
    wire  [7:0]  exit;
    wire         record_ready, linear_start, linear_done, finish;
    wire  [31:0] cycles, tiles;

    engine_sequencer #(
        .P(P), .PE(PE), .R(R), .MODES(MODES), .LAYERS(LAYERS), .WEIGHT_AW(WEIGHT_AW), .LATENCY(DONE - 1 + (GATES != 0 ? 3 : 0) - 32'(GATES != 0 || EXITS != 0)),
        .PLANES(PLANES), .HIGH_DIGITS(HIGH_DIGITS), .LOW_DIGITS(LOW_DIGITS), .GATES(GATES != 0), .EXITS(EXITS != 0), .PACK(PACKED)
    ) sequencer (
        .clk, .rst_n, .image_valid, .image_mode, .image_buffer, .image_release, .rest,
        .program_addr, .program_data, .layer, .side, .packs, .buffer,
        .tile(tile_at), .tile_in(tile_in_at), .tile_kernel(kernel_at), .tile_y(tile_y_at), .tile_x(tile_x_at), .weight_addr(weight_addr_at),
        .tables_ready, .tables_start, .tables_next,
        .groups_prepare, .groups_advance, .groups_ready, .groups_empty, .next_group, .gate_start, .list_start, .decision,
        .exit_due, .exit_looks, .exit_sure, .frame_start, .exit_passed,
        .record_ready, .linear_start, .linear_done, .finish, .mode, .cycles, .tiles
    );

    // ---- gates
    if (GATES != 0) begin : gates
        engine_gates #(.CHANNELS(GATES), .PE(PE), .WEIGHT_AW(WEIGHT_AW), .MODES(MODES)) lists (
            .clk, .rst_n, .coming(program_data), .layer, .gate_start, .decision_valid(decision_valid && !layer.layer_gate), .decision_index,
            .decision, .list_start, .groups_prepare, .groups_advance, .groups_ready, .groups_empty, .next_group,
            .tile_at, .tile_in_at, .kernel_at, .tile_y_at, .tile_x_at, .tile, .tile_in, .tile_y, .tile_x, .weight_addr
        );
    end else begin : no_gates
        assign {tile, tile_in, tile_y, tile_x, weight_addr} = {tile_at, tile_in_at, tile_y_at, tile_x_at, weight_addr_at};
        assign {groups_ready, groups_empty, next_group} = '0;
    end

    // ---- exits
    if (EXITS != 0) begin : exits
        engine_exits #(.EXITS(EXITS), .MODES(MODES)) unit (
            .clk, .rst_n, .host(exit_host), .mode, .start(frame_start), .passed(exit_passed), .cycles, .margin, .number(exit),
            .due(exit_due), .looks(exit_looks), .sure(exit_sure)
        );
    end else begin : no_exits
        assign {exit_due, exit_looks, exit_sure, exit} = '0;
    end

    // ---- feature memories
    // Of the layer, a cycle after it and before its first tile.
    logic [1:0]  size_in;
    logic [7:0]  source_base;
    always_ff @(posedge clk) begin
        size_in <= layer.size + 2'(layer.stride2 && !layer.keep);
        source_base <= layer.src_base + ((layer.image && buffer) ? 8'(PLANES * IMAGE_SIZE / 8) : 8'd0);
    end
    logic [7:0]  source_word;
    always_comb
        case (size_in)
            SIZE_8: source_word = source_base + 8'(tile_in >> 1);
            SIZE_16: source_word = source_base + 8'(tile_in);
            default: source_word = source_base + {tile_in[6:0], 1'b0};
        endcase

    // As wide as a descriptor's word; a bank has X_DEPTH or M_DEPTH.
    // verilator lint_off UNUSEDSIGNAL
    wire  [7:0]               residual_addr, write_addr;
    // verilator lint_on UNUSEDSIGNAL
    wire  [15:0][CHUNKS-1:0]  x_write, m_write;
    wire  [15:0][127:0]       write_data;
    logic [15:0][7:0]         source_addr;
    logic [15:0][XW-1:0]      x_raddr;
    logic [15:0][MW-1:0]      m_raddr;
    wire  [15:0][127:0]       x_rows, m_rows;
    // Which half of a map of 32 rows a bank gives, for each first row of a window; the row within it is the bank. The window's rows
    // come from there on, except the one above it.
    function automatic logic [31:0] halves_of(input int unsigned bank);
        int unsigned distance;
        for (int unsigned y = 0; y < 32; y++) begin
            distance = (32 + bank - y) % 16;
            halves_of[y] = ((distance == 15 && y != 0) ? y - 1 : y + distance) / 16 % 2 == 1;
        end
    endfunction
    for (genvar b = 0; b < 16; b++) begin : bank_address
        localparam logic [31:0] HALVES = halves_of(b);
        assign source_addr[b] = (size_in == SIZE_32) ? {source_word[7:1], HALVES[tile_y]} : source_word;
        always_ff @(posedge clk) begin
            x_raddr[b] <= layer.residual ? residual_addr[XW-1:0] : source_addr[b][XW-1:0];
            m_raddr[b] <= source_addr[b][MW-1:0];
        end
    end

    engine_features #(.DEPTH(X_DEPTH), .CHUNKS(CHUNKS)) x_memory (
        .clk, .we(x_write), .waddr(write_addr[XW-1:0]), .wdata(write_data),
        .raddr(x_raddr), .rdata(x_rows)
    );

    engine_features #(.DEPTH(M_DEPTH), .CHUNKS(CHUNKS)) m_memory (
        .clk, .we(m_write), .waddr(write_addr[MW-1:0]), .wdata(write_data),
        .raddr(m_raddr), .rdata(m_rows)
    );

    wire          image_write, image_ready;
    wire  [3:0]   image_bank;
    wire  [7:0]   image_addr;
    wire  [127:0] image_data;
    engine_loader #(.PLANES(PLANES), .SIZE(IMAGE_SIZE), .IMAGE_BASE(IMAGE_BASE)) loader (
        .clk, .rst_n, .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
        .write(image_write), .write_ready(image_ready), .bank(image_bank), .addr(image_addr), .data(image_data),
        .rest, .network_start, .network_blocks, .network_valid, .network_last, .network_done,
        .valid(image_valid), .mode(image_mode), .buffer(image_buffer), .release_buffer(image_release)
    );

    // ---- tiles: what the stages up to the accumulators still have to know
    tile_t [ACC:1] stage;
    always_ff @(posedge clk) begin
        stage[1] <= tile;
        stage[ACC:2] <= stage[ACC-1:1];
        if (!rst_n)
            for (int unsigned s = 1; s <= ACC; s++) begin
                stage[s].valid <= 1'b0;
                stage[s].last <= 1'b0;
            end
    end
    logic [1:0] rotation1, rotation2;
    logic [4:0] y1, x1, y2, x2;
    always_ff @(posedge clk) begin
        rotation1 <= tile_y[3:2] + {size_in == SIZE_8 && tile_in[0], 1'b0};
        y1 <= tile_y;
        x1 <= tile_x;
        rotation2 <= rotation1;
        y2 <= y1;
        x2 <= x1;
    end

    wire [P-1:0][35:0]  taps;
    wire  [(PACKED ? 4 : 1)-1:0][PE-1:0][35:0] kernel;
    engine_align #(.P(P), .PACK(PACKED)) align (
        .clk, .x_rows, .m_rows, .from_m(layer.src), .stride2(layer.stride2), .side, .packs(packs), .size_in,
        .rotation(rotation2), .y(y2), .x(x2), .taps
    );
    engine_weights #(.PE(PE), .DEPTH(WEIGHT_DEPTH), .PACK(PACK)) weights (
        .clk, .load, .addr(weight_addr), .blank(stage[2].blank), .packs(packs), .kernel
    );

    wire [PE*P-1:0][ACC_WIDTH-1:0] acc;
    engine_lanes #(.P(P), .PE(PE), .ACC_WIDTH(ACC_WIDTH), .MULT_DSP(MULT_DSP), .PACK(PACKED)) lanes (
        .clk, .taps, .kernel_early(kernel),
        .control('{valid: stage[ACC-2].valid, first: stage[ACC-2].first, shift: stage[ACC-2].shift}), .acc
    );

    // ---- finished tuples: R accumulators a cycle, from the address of their requantisation on; of packed tuples a quarter of them
    drain_t         leads;
    drain_t [DONE:REQUANT+1] drain;  // by stage
    logic   [4:0]   drain_left;
    logic   [8:0]   second;  // output of the tuple that leaves
    wire            arrives = stage[REQUANT].last;
    wire    [3:0]   next_word = drain[REQUANT+1].word + 4'd1;
    always_comb
        if (arrives)
            leads = '{
                valid: 1'b1, out: packs ? {stage[REQUANT].out[6:0], 2'b00} : stage[REQUANT].out, word: '0,
                y: stage[REQUANT].y, x: stage[REQUANT].x
            };
        else begin
            leads = drain[REQUANT+1];
            leads.valid = drain_left != '0;
            leads.word = (next_word == 4'(WORDS) && !packs) ? '0 : next_word;
            if (packs) leads.out = drain[REQUANT+1].out + 9'd1;
            else if (next_word == 4'(WORDS)) leads.out = second;
        end
    always_ff @(posedge clk) begin
        if (!rst_n) drain_left <= '0;
        else if (arrives) drain_left <= packs ? (stage[REQUANT].pair ? 5'd7 : 5'd3) : stage[REQUANT].pair ? 5'(2 * WORDS - 1) : 5'(WORDS - 1);
        else if (drain_left != '0) drain_left <= drain_left - 5'd1;
        if (arrives) second <= stage[REQUANT].second;
        drain <= {drain[DONE-1:REQUANT+1], leads};
        if (!rst_n) for (int unsigned d = REQUANT + 1; d <= DONE; d++) drain[d].valid <= 1'b0;
    end

    // Its address: that of the tuple's first output, the one before, or that of the second output; of packed tuples the next one.
    // As wide as a descriptor's address; the memory has REQUANT_DEPTH entries.
    // verilator lint_off UNUSEDSIGNAL
    logic [14:0] first_entry, second_entry, entry, entry_after, requant_addr;
    // verilator lint_on UNUSEDSIGNAL
    always_comb requant_addr = arrives ? first_entry : (packs || next_word == 4'(WORDS)) ? entry_after : entry;
    always_ff @(posedge clk) begin
        first_entry <= layer.requant_base + (packs ? 15'({stage[REQUANT-1].out, 2'b00}) : 15'(stage[REQUANT-1].out));
        second_entry <= layer.requant_base + 15'(stage[REQUANT-1].second);
        entry <= requant_addr;
        if (packs) entry_after <= requant_addr + 15'd1;
        else if (arrives) entry_after <= second_entry;
    end
    wire signed [SCALE_WIDTH-1:0] scale;
    wire signed [BIAS_WIDTH-1:0]  bias;
    wire [SCALE_WIDTH-2:0] factor;
    engine_requant_memory #(.DEPTH(REQUANT_DEPTH), .EXCITE(FACTORS != 0)) requant_memory (
        .clk, .we(load.write[MEMORY_REQUANT]), .waddr(load.addr[REQUANT_AW-1:0]), .wdata(load.beats[3][SCALE_WIDTH+BIAS_WIDTH-1:0]),
        .addr(requant_addr[REQUANT_AW-1:0]), .excite(layer.excite), .factor, .scale, .bias
    );

    wire [R-1:0][ACC_WIDTH-1:0] acc_word;
    engine_drain #(.P(P), .PE(PE), .ACC_WIDTH(ACC_WIDTH), .R(R), .PACK(PACKED)) leaving (
        .clk, .load(stage[ACC].last), .first_stays(packs && !drain[ACC].word[2]), .prescale(layer.prescale), .acc, .word(acc_word)
    );

    localparam int unsigned OFFSET_WIDTH = BIAS_WIDTH + (ACC_WIDTH > 18 ? FINE_BITS : 0);
    wire signed [OFFSET_WIDTH-1:0] offset;
    if (ACC_WIDTH > 18) begin : finer
        assign offset = layer.fine ? {bias, {FINE_BITS{1'b0}}} : OFFSET_WIDTH'(bias);
    end else begin : usual
        assign offset = bias;
    end

    wire [R-1:0] on_map;  // with stage CODE - 1
    if (MASK) begin : masked
        engine_mask #(.R(R)) mask (
            .clk, .drain(drain[CODE-3]), .side, .packs(packs), .rows(layer.rows), .columns(layer.columns), .on_map
        );
    end else begin : unmasked
        assign on_map = '1;
    end

    wire [U-1:0][31:0]  residual;
    wire [R-1:0][3:0]   residual_pixel = layer.residual ? residual : '0;
    // Without tables, and with them.
    // verilator lint_off UNUSEDSIGNAL
    wire [R-1:0][3:0]   pixel;
    wire [R-1:0][4:0]   level;
    // verilator lint_on UNUSEDSIGNAL
    for (genvar r = 0; r < R; r++) begin : requantiser
        engine_requantiser #(.ACC_WIDTH(ACC_WIDTH), .TABLES(TABLES), .REQUANT_DSP(REQUANT_DSP)) unit (
            .clk, .acc(acc_word[r]), .scale, .bias(offset), .fine(layer.fine), .high(layer.high),
            .residual(residual_pixel[r]), .on_map(on_map[r]), .pixel(pixel[r]), .level(level[r])
        );
    end

    // ---- tables
    logic [R-1:0][3:0] code;
    // For tables alone.
    // verilator lint_off UNUSEDSIGNAL
    wire       table_copy, table_write;
    wire [5:0] table_address;
    wire [9:0] table_word;
    // verilator lint_on UNUSEDSIGNAL
    if (TABLES) begin : tables
        engine_table_loader #(.LAYERS(LAYERS)) loader (
            .clk, .rst_n(rst_n && !network_done), .we_tables(load.write[MEMORY_TABLES]), .tables_waddr(load.addr[$clog2(LAYERS)+5:0]),
            .tables_wdata(load.beats[3][9:0]), .start(tables_start), .next(tables_next), .ready(tables_ready), .copy(table_copy), .we(table_write),
            .waddr(table_address), .wdata(table_word)
        );
        wire  [R-1:0][5:0] worth;
        wire  [R-1:0][3:0] found;
        logic [R-1:0][5:0] worth_q, sum;
        engine_table #(.READERS(R), .DEPTH(16), .WIDTH(6)) residuals (
            .clk, .copy(table_copy), .we(table_write), .waddr(table_address[3:0]), .wdata(table_word[9:4]),
            .raddr(residual), .rdata(worth)
        );
        engine_table #(.READERS(R), .DEPTH(64), .WIDTH(4)) sums (
            .clk, .copy(table_copy), .we(table_write), .waddr(table_address), .wdata(table_word[3:0]),
            .raddr(sum), .rdata(found)
        );
        always_ff @(posedge clk) begin
            worth_q <= worth;
            for (int unsigned r = 0; r < R; r++) begin
                sum[r] <= 6'(level[r]) + worth_q[r];
                code[r] <= on_map[r] ? found[r] : '0;
            end
        end
    end else begin : no_tables
        assign tables_ready = 1'b1;
        assign {table_copy, table_write, table_address, table_word} = '0;
        assign code = pixel;
    end

    // ---- 2x2 pool
    wire [R-1:0][3:0] segment;
    if (POOL) begin : pooled
        // For pools of sums alone.
        // verilator lint_off UNUSEDSIGNAL
        wire [R/4-1:0][5:0] four;
        // verilator lint_on UNUSEDSIGNAL
        wire [R/4-1:0][3:0] four_code;
        engine_pool2 #(.R(R), .SUMS(POOL2[1])) pools (
            .clk, .pool2(layer.pool2), .side, .code, .level, .on_map, .four, .four_code, .segment
        );
        if (POOL2[1]) begin : sums
            engine_table #(.READERS(R / 4), .DEPTH(64), .WIDTH(4)) sums (
                .clk, .copy(table_copy), .we(table_write), .waddr(table_address), .wdata(table_word[3:0]),
                .raddr(four), .rdata(four_code)
            );
        end else begin : no_sums
            assign four_code = '0;
        end
    end else begin : not_pooled
        assign segment = code;
    end
    wire layer_pools = POOL && layer.pool2 != POOL_NONE;

    engine_write_back #(.P(P), .R(R), .DELAY(DONE - ACC - 1), .POOL(POOL), .PACK(PACKED)) write_back (
        .clk, .rst_n, .drain(drain[ACC]), .to_m(layer.dst), .discard(layer.discard), .size(layer.size), .pooled(layer_pools), .side,
        .shuffle(layer.shuffle), .base(layer.dst_base),
        .raddr(residual_addr), .rows(x_rows), .residual, .segment,
        .image_write, .image_ready, .image_bank, .image_addr, .image_data,
        .waddr(write_addr), .x_we(x_write), .m_we(m_write), .wdata(write_data)
    );

    // ---- head: sums of maps, classifiers and gates, the record
    wire [6:0] pool_base = (GATES != 0) ? layer.pool_base : '0;
    wire [$clog2(POOL_DEPTH)-1:0]  pool_addr;
    wire [V-1:0][POOL_WIDTH-1:0]   pool_data;
    engine_pool #(.R(R), .V(V), .DEPTH(POOL_DEPTH), .POOL_WIDTH(POOL_WIDTH)) pool (
        .clk, .valid(drain[DONE].valid && layer.pool), .first((drain[DONE].word == '0 || packs) && drain[DONE].y == '0 && drain[DONE].x == '0),
        .channel(drain[DONE].out), .base(pool_base), .pixels(segment), .fourfold(layer_pools), .raddr(pool_addr), .rdata(pool_data)
    );

    // What the vector unit does for this layer: one product, or several one after the other.
    wire                vector_start, vector_done, decides, excited, from_state;
    wire  [8:0]         in_count, out_count;
    wire  [16:0]        weight_base;
    wire  [14:0]        bias_base;
    wire  [V-1:0][15:0] state;
    // For several products alone.
    // verilator lint_off UNUSEDSIGNAL
    wire  [8:0]         vector_word;
    // verilator lint_on UNUSEDSIGNAL
    engine_vector #(
        .V(V), .DEPTH(FC_DEPTH), .POOL_DEPTH(POOL_DEPTH), .BIASES(BIASES), .POOL_WIDTH(POOL_WIDTH), .MARGIN(EXITS != 0),
        .STATE(HIDDEN != 0 || FACTORS != 0)
    ) vector (
        .clk, .rst_n, .load, .start(vector_start), .in_count, .out_count, .weight_base, .bias_base, .pool_base, .pool_addr, .pool_data,
        .from_state, .state, .word(vector_word), .logit_valid, .logit_index, .logit, .best, .margin, .done(vector_done)
    );
    // A product as the descriptor says, or the next one of a step of the LSTM.
    typedef struct packed {
        logic               start, from_state;
        logic [8:0]         in_count, out_count;
        logic [16:0]        weight_base;
        logic [14:0]        bias_base;
        logic [V-1:0][15:0] state;
    } product_t;
    product_t step, excitation;
    wire      excites;
    if (HIDDEN != 0) begin : recurrent
        engine_recurrent #(.V(V), .HIDDEN(HIDDEN), .PRODUCTS(PRODUCTS)) steps (
            .clk, .rst_n, .load, .finish, .layer, .start(linear_start), .vector_start(step.start), .in_count(step.in_count), .out_count(step.out_count),
            .weight_base(step.weight_base), .bias_base(step.bias_base), .from_state(step.from_state), .word(vector_word), .state(step.state),
            .logit_valid, .logit_index, .logit, .vector_done, .decides
        );
    end else begin : one_product
        assign step = '{
            start: linear_start, from_state: 1'b0, in_count: layer.in_count, out_count: layer.out_count, weight_base: layer.weight_base,
            bias_base: layer.requant_base, state: '0
        };
        assign decides = 1'b1;
    end
    // Squeeze-and-excitation: the first of its two products, or the second.
    if (FACTORS != 0) begin : exciting
        localparam int unsigned FW = $clog2(FACTORS);
        engine_excite #(.V(V), .INNER(INNER), .FACTORS(FACTORS), .PRODUCTS(PRODUCTS)) unit (
            .clk, .rst_n, .load, .layer, .start(linear_start), .vector_start(excitation.start), .in_count(excitation.in_count),
            .out_count(excitation.out_count), .weight_base(excitation.weight_base), .bias_base(excitation.bias_base),
            .from_state(excitation.from_state), .word(vector_word), .state(excitation.state), .logit_valid, .logit_index, .logit, .excites,
            .done(excited), .factor_addr(FW'(requant_addr)), .factor
        );
    end else begin : not_exciting
        assign excitation = '0;
        assign {excites, excited, factor} = '0;
    end
    assign vector_start = excites ? excitation.start : step.start;
    assign {from_state, in_count, out_count, weight_base, bias_base, state} = excites
        ? {excitation.from_state, excitation.in_count, excitation.out_count, excitation.weight_base, excitation.bias_base, excitation.state}
        : {step.from_state, step.in_count, step.out_count, step.weight_base, step.bias_base, step.state};
    assign linear_done = (vector_done && decides && !excites) || excited;

    // For gates alone.
    // verilator lint_off UNUSEDSIGNAL
    wire [$clog2((DECISIONS + 63) / 64 < 2 ? 2 : (DECISIONS + 63) / 64)-1:0] decisions_addr;
    // verilator lint_on UNUSEDSIGNAL
    wire [63:0] decisions;
    if (GATES != 0) begin : decided
        logic [14:0] first, number;
        always_ff @(posedge clk) first <= {layer.in_per_group[5:0], layer.out_per_group};  // those of a gate
        engine_decide #(.DECISIONS(DECISIONS)) decide (
            .clk, .rst_n, .host(gate_host), .layer_gate(layer.layer_gate), .valid(logit_valid && layer.kind == KIND_GATE && decides),
            .index(logit_index), .first, .sum(logit), .decided(decision_valid), .decided_index(decision_index), .number, .decision
        );
        engine_decisions #(.DECISIONS(DECISIONS)) memory (
            .clk, .rst_n, .valid(decision_valid), .number, .decision, .finish, .raddr(decisions_addr), .word(decisions)
        );
    end else begin : nothing_decided
        assign {decision_valid, decision_index, decision, decisions} = '0;
    end

    engine_record #(.CLASSES(CLASSES), .DECISIONS(DECISIONS)) record (
        .clk, .rst_n, .network_done, .logit_valid(logit_valid && (GATES == 0 || layer.kind == KIND_CLASSIFIER)), .logit_index, .logit, .decisions_addr, .decisions, .finish, .mode, .exit, .best, .cycles, .tiles,
        .ready(record_ready), .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
    );

    if (R < 8 || R > P || P % R != 0) begin : bad_r
        $error("tile_engine: R must be 8, 16, 32 or 64 and at most P");
    end
    if (ACC_WIDTH < 18 || ACC_WIDTH > 21) begin : bad_acc_width
        $error("tile_engine: ACC_WIDTH must be 18 to 21");
    end
    if (GATES != 0 && TABLES) begin : bad_gates
        $error("tile_engine: layers of an engine with gates have no tables");
    end
    if (EXITS != 0 && TABLES) begin : bad_exits
        $error("tile_engine: layers of an engine with exits have no tables");
    end
    if (PACK != 0 && !(GATES != 0 && MASK && P == 64 && PE == 2 && R == 64)) begin : bad_pack
        $error("tile_engine: PACK needs GATES, MASK, 64 lanes and requantisers, and two outputs per tile");
    end
    if (POOL2[1] && !TABLES) begin : bad_pool2
        $error("tile_engine: pools of sums need TABLES");
    end
endmodule

`default_nettype wire
