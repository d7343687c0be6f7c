// The groups of a layer that have active outputs, one after the other, and again from the first for every block.
//
// `prepare` takes a layer's descriptor. From `ready` on `group` is the next one to come, and `advance` takes it; in
// every cycle if need be: a second one waits beside it, so that what walks the groups need not know whether the first is taken.
// A layer without active outputs is `empty` and never ready.
`default_nettype none

module engine_groups
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned MODES = 5
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire            prepare,
    // Of which this looks at a part.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  descriptor_t of,
    // verilator lint_on UNUSEDSIGNAL
    input  wire            in_list_busy,
    output logic [1:0][4:0] bound,         /// of a group, in sixteenths of the channels
    input  wire  [1:0][9:0] outs_below,    /// entries of the lists below `bound`, in the same cycle
    input  wire  [1:0][9:0] ins_below,
    input  wire  [15:0]    any_out,        /// sixteenths with active outputs
    output logic           ready,
    output logic           empty,
    output group_t         group,
    input  wire            advance
);
    // A power of two up to 16, and 1 without modes; the counts are those of a layer without lists.
    logic [4:0] groups;
    logic [8:0] in_per_group, out_per_group;
    logic       in_list, out_list;
    always_ff @(posedge clk)
        if (prepare) begin
            groups <= (MODES == 1) ? 5'd1 : of.groups;
            in_per_group <= (MODES == 1) ? of.in_count : of.in_per_group;
            out_per_group <= (MODES == 1) ? of.out_count : of.out_per_group;
            in_list <= of.in_list;
            out_list <= of.out_list;
        end

    // Groups with active outputs.
    logic [15:0] alive, left, some;
    logic        waiting, fresh, known, chosen, bounded, found;
    logic [3:0]  number;
    logic        last, last_bounded;
    always_comb begin
        some = '0;
        for (int unsigned g = 0; g < 16; g++)
            case (groups)
                5'd16: some[g] = any_out[g];
                5'd8: some[g] = g < 8 && any_out[2*(g%8)+:2] != '0;
                5'd4: some[g] = g < 4 && any_out[4*(g%4)+:4] != '0;
                5'd2: some[g] = g < 2 && any_out[8*(g%2)+:8] != '0;
                default: some[g] = g < 1 && any_out != '0;
            endcase
        if (!out_list) for (int unsigned g = 0; g < 16; g++) some[g] = g == 0 || g < 32'(groups);
    end

    // The first group that is left.
    logic [3:0] first;
    always_comb begin
        first = '0;
        for (int unsigned g = 0; g < 16; g++) if (left[15-g]) first = ~4'(g);
    end
    // What is left behind it. Whether it is the only one that is left, and which fours have some, is known a cycle ahead.
    logic [3:0]  some_of, rest_of, alive_of;
    logic [15:0] rest;
    logic        only, alone;
    always_comb begin
        for (int unsigned q = 0; q < 4; q++) begin
            rest_of[q] = !(left[4*q+:4] inside {4'd0, 4'd1, 4'd2, 4'd4, 4'd8});
            for (int unsigned b = 0; b < q; b++) rest_of[q] |= some_of[b] && some_of[q];
        end
        for (int unsigned g = 0; g < 16; g++) begin
            rest[g] = 1'b0;
            for (int unsigned q = 0; q < g / 4; q++) rest[g] |= some_of[q];
            for (int unsigned b = 4 * (g / 4); b < g; b++) rest[g] |= left[b];
            rest[g] &= left[g];
        end
    end
    // Not more than so many, one or two, of sixteen.
    function automatic logic [2:1] at_most(input logic [15:0] which, input logic [3:0] any);
        logic [3:0] two, three;
        for (int unsigned q = 0; q < 4; q++) begin
            two[q] = !(which[4*q+:4] inside {4'd0, 4'd1, 4'd2, 4'd4, 4'd8});
            three[q] = which[4*q+:4] inside {4'd7, 4'd11, 4'd13, 4'd14, 4'd15};
        end
        at_most[1] = two == '0 && any inside {4'd0, 4'd1, 4'd2, 4'd4, 4'd8};
        at_most[2] = three == '0 && (two == '0 ? !(any inside {4'd7, 4'd11, 4'd13, 4'd14, 4'd15}) : any == two && two inside {4'd1, 4'd2, 4'd4, 4'd8});
    endfunction
    // verilator lint_off UNUSEDSIGNAL
    wire [2:1] of_alive = at_most(alive, alive_of), of_left = at_most(left, some_of);
    // verilator lint_on UNUSEDSIGNAL
    always_comb for (int unsigned q = 0; q < 4; q++) alive_of[q] = alive[4*q+:4] != '0;
    logic        spared;
    wire         moves = !spared;
    group_t      walked, spare;

    // Bounds of the chosen group.
    logic [1:0][4:0] bound_of;
    always_comb begin
        bound_of[0] = {1'b0, number};
        bound_of[1] = {1'b0, number} + 5'd1;
        case (groups)
            5'd16: ;
            5'd8: bound_of = {bound_of[1] << 1, bound_of[0] << 1};
            5'd4: bound_of = {bound_of[1] << 2, bound_of[0] << 2};
            5'd2: bound_of = {bound_of[1] << 3, bound_of[0] << 3};
            default: bound_of = {bound_of[1] << 4, bound_of[0] << 4};
        endcase
    end

    // A layer has at most 511 channels.
    // verilator lint_off UNUSEDSIGNAL
    wire [9:0] ins = ins_below[1] - ins_below[0], outs = outs_below[1] - outs_below[0];
    // verilator lint_on UNUSEDSIGNAL
    logic [8:0] in_start;

    always_ff @(posedge clk) begin
        if (!rst_n) {waiting, fresh, known, chosen, bounded, found, spared, ready, empty} <= '0;
        else if (prepare) begin
            {fresh, known, chosen, bounded, found, spared, ready, empty} <= '0;
            waiting <= 1'b1;
        end else begin
            fresh <= 1'b0;
            if (waiting && !(in_list && in_list_busy)) {waiting, fresh} <= 2'b01;
            if (fresh) begin
                known <= 1'b1;
                empty <= alive == '0;
            end
            if (moves && known) chosen <= 1'b1;
            if (moves && chosen && !empty) bounded <= 1'b1;
            if (moves && bounded) found <= 1'b1;
            if (!ready || advance) ready <= found || spared;
            if (advance) spared <= 1'b0;
            else if (ready && found) spared <= 1'b1;
        end
        if (waiting) begin
            alive <= some;
            left <= some;
        end else if (moves && !fresh) left <= only ? alive : rest;
        if (fresh) some_of <= alive_of;
        else if (moves) some_of <= only ? alive_of : rest_of;
        if (fresh) alone <= of_alive[1];
        if (fresh) only <= of_alive[1];
        else if (moves) only <= only ? alone : of_left[2];
        if (moves) begin
            number <= first;
            last <= only;
            bound <= bound_of;
            in_start <= 9'(number) * in_per_group;
            last_bounded <= last;
            walked.last <= last_bounded;
            walked.in_base <= in_list ? ins_below[0][8:0] : in_start;
            walked.in_count <= in_list ? ins[8:0] : in_per_group;
            walked.out_count <= out_list ? outs[8:0] : out_per_group;
            spare <= walked;
        end
        if (!ready || advance) group <= spared ? spare : walked;
    end
endmodule

`default_nettype wire
