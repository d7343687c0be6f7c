// Frames of one block of two convolutions behind a channel gate, one for every mask of 16 channels, and what the sequencer visits.
`default_nettype none

module mask_bench
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned R = 64
) (
    input  wire         clk,
    input  wire         rst_n,
    input  wire  [2:0]  mode,     /// 2^mode groups
    output logic [16:0] masks,    /// that were seen
    output logic [31:0] tiles
);
    localparam int unsigned C = 16, WEIGHT_AW = 10, BASE = 256;

    // ---- the program: a gate, both convolutions on one block of 8x8 pixels, a classifier
    wire  [4:0]  program_addr;  // mode, layer
    descriptor_t program_data, word;
    always_comb begin
        word = '0;
        word.in_count = 9'(C);
        word.out_count = 9'(C);
        word.groups = 5'd1 << program_addr[4:2];
        word.in_per_group = 9'(C) >> program_addr[4:2];
        word.out_per_group = 9'(C) >> program_addr[4:2];
        word.src = 1'b1;
        case (program_addr[1:0])
            2'd0: word.kind = KIND_GATE;
            2'd1: begin
                word.out_list = 1'b1;
                word.list = 1'b1;
            end
            2'd2: begin
                word.out_list = 1'b1;
                word.in_list = 1'b1;
                word.weight_base = 17'(BASE);
            end
            default: begin
                word.kind = KIND_CLASSIFIER;
                word.last = 1'b1;
            end
        endcase
    end
    descriptor_t fetched;
    always_ff @(posedge clk) begin
        fetched <= word;
        program_data <= fetched;
    end

    descriptor_t layer;
    tile_t       tile_at, tile;
    wire  [8:0]  tile_in_at, kernel_at;
    wire  [8:0]  tile_in;
    wire  [4:0]  tile_y_at, tile_x_at;
    wire  [4:0]  tile_y, tile_x;
    wire  [1:0][WEIGHT_AW-1:0] weight_addr;
    wire  [1:0][WEIGHT_AW-1:0] unused_addr;
    wire         groups_prepare, groups_advance, groups_ready, groups_empty, gate_start, list_start, linear_start, finish;
    group_t      next_group;
    wire         side, buffer, image_release, tables_start;
    wire  [1:0]  tables_next;
    wire  [7:0]  frame_mode;
    wire  [31:0] cycles, frame_tiles;

    // ---- the vector unit: a decision a cycle
    logic [15:0] mask;
    logic        deciding, linear_done;
    logic [4:0]  index;
    always_ff @(posedge clk) begin
        linear_done <= rst_n && (deciding ? index == 5'd15 : linear_start && layer.kind == KIND_CLASSIFIER);
        if (!rst_n) deciding <= 1'b0;
        else if (linear_start && layer.kind == KIND_GATE) deciding <= 1'b1;
        else if (index == 5'd15) deciding <= 1'b0;
        index <= deciding ? index + 5'd1 : '0;
    end

    engine_sequencer #(.P(64), .PE(2), .R(R), .MODES(5), .LAYERS(4), .WEIGHT_AW(WEIGHT_AW), .LATENCY(16), .GATES(1)) sequencer (
        .clk, .rst_n, .image_valid(1'b1), .image_mode({5'd0, mode}), .image_buffer(1'b0), .image_release,
        .program_addr, .program_data, .layer, .side, .buffer,
        .tile(tile_at), .tile_in(tile_in_at), .tile_kernel(kernel_at), .tile_y(tile_y_at), .tile_x(tile_x_at), .weight_addr(unused_addr),
        .tables_ready(1'b1), .tables_start, .tables_next,
        .groups_prepare, .groups_advance, .groups_ready, .groups_empty, .next_group, .gate_start, .list_start, .decision(1'b1),
        .record_ready(1'b1), .linear_start, .linear_done, .finish, .mode(frame_mode), .cycles, .tiles(frame_tiles)
    );
    engine_gates #(.CHANNELS(16), .PE(2), .WEIGHT_AW(WEIGHT_AW), .MODES(5)) lists (
        .clk, .rst_n, .coming(program_data), .layer, .gate_start, .decision_valid(deciding), .decision_index({4'd0, index}),
        .decision(mask[index[3:0]]), .list_start, .groups_prepare, .groups_advance, .groups_ready, .groups_empty, .next_group,
        .tile_at, .tile_in_at, .kernel_at, .tile_y_at, .tile_x_at, .tile, .tile_in, .tile_y, .tile_x, .weight_addr
    );

    // ---- what was visited
    logic [1:0][15:0][15:0] visited, expected;  // layer, output, input
    logic [1:0][15:0]       left;               // outputs that went on to the requantisers
    always_comb
        for (int unsigned l = 0; l < 2; l++)
            for (int unsigned o = 0; o < C; o++)
                for (int unsigned i = 0; i < C; i++)
                    expected[l][o][i] = mask[o] && (l == 0 || mask[i]) && (o << mode) / C == (i << mode) / C;
    wire which = layer.in_list;
    always_ff @(posedge clk) begin
        if (!rst_n) begin
            mask <= '0;
            masks <= '0;
            tiles <= '0;
            visited <= '0;
            left <= '0;
        end else if (finish) begin
            all: assert (visited == expected) else $fatal(1, "mask %b with 2^%0d groups: pairs are left out or too many", mask, mode);
            outputs: assert (left == {mask, mask}) else $fatal(1, "mask %b with 2^%0d groups: outputs are left out or too many", mask, mode);
            sums: assert (32'($countones(visited)) <= 2 * frame_tiles) else $fatal(1, "tiles are not counted");
            mask <= mask + 16'd1;
            masks <= masks + 17'd1;
            tiles <= tiles + frame_tiles;
            visited <= '0;
            left <= '0;
        end else if (tile.valid)
            for (int unsigned p = 0; p < 2; p++)
                if (p == 0 || tile.pair) begin
                    if (!tile.blank) begin
                        once: assert (!visited[which][4'(p == 0 ? tile.out : tile.second)][tile_in[3:0]])
                            else $fatal(1, "mask %b: a pair is visited twice", mask);
                        visited[which][4'(p == 0 ? tile.out : tile.second)][tile_in[3:0]] <= 1'b1;
                        kernels: assert (weight_addr[p] == WEIGHT_AW'(which ? BASE : 0) + WEIGHT_AW'(p == 0 ? tile.out : tile.second) * WEIGHT_AW'(C)
                                         + WEIGHT_AW'(tile_in))
                            else $fatal(1, "mask %b: a tile takes the kernel of another pair", mask);
                    end
                    if (tile.last) begin
                        left_once: assert (!left[which][4'(p == 0 ? tile.out : tile.second)])
                            else $fatal(1, "mask %b: an output is complete twice", mask);
                        left[which][4'(p == 0 ? tile.out : tile.second)] <= 1'b1;
                    end
                end
    end
endmodule

`default_nettype wire
