// The groups of a layer that have active outputs, one after the other, and again from the first for every block.
//
// `prepare` takes a layer's descriptor. From `ready` on `group` is the next one to come, and `advance` takes it; in
// every cycle if need be. A layer without active outputs is `empty` and never ready.
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
    output logic [1:0][4:0] bound,         /// in sixteenths of the channels
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
    logic        waiting, known, chosen;
    logic [3:0]  number;
    logic        last;
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
    wire [15:0] rest = left & (left - 16'd1);
    wire step = !ready || advance;

    // Bounds of the chosen group.
    always_comb begin
        bound[0] = {1'b0, number};
        bound[1] = {1'b0, number} + 5'd1;
        case (groups)
            5'd16: ;
            5'd8: bound = {bound[1] << 1, bound[0] << 1};
            5'd4: bound = {bound[1] << 2, bound[0] << 2};
            5'd2: bound = {bound[1] << 3, bound[0] << 3};
            default: bound = {bound[1] << 4, bound[0] << 4};
        endcase
    end

    // A layer has at most 511 channels.
    // verilator lint_off UNUSEDSIGNAL
    wire [9:0] ins = ins_below[1] - ins_below[0], outs = outs_below[1] - outs_below[0];
    // verilator lint_on UNUSEDSIGNAL
    wire [8:0] in_start = 9'(number) * in_per_group;

    always_ff @(posedge clk) begin
        if (!rst_n) {waiting, known, chosen, ready, empty} <= '0;
        else if (prepare) begin
            {known, chosen, ready, empty} <= '0;
            waiting <= 1'b1;
        end else begin
            if (waiting && !(in_list && in_list_busy)) begin
                waiting <= 1'b0;
                known <= some != '0;
                empty <= some == '0;
            end
            if (known && step) chosen <= 1'b1;
            if (chosen) ready <= 1'b1;
        end
        if (waiting) begin
            alive <= some;
            left <= some;
        end else if (known && step) left <= (rest == '0) ? alive : rest;
        if (step) begin
            number <= first;
            last <= rest == '0;
            group.last <= last;
            group.in_base <= in_list ? ins_below[0][8:0] : in_start;
            group.in_count <= in_list ? ins[8:0] : in_per_group;
            group.out_count <= out_list ? outs[8:0] : out_per_group;
        end
    end
endmodule

`default_nettype wire
