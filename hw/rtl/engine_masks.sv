// What a channel gate decided, as the list of a layer's outputs, and then as the list of the next layer's inputs.
//
// The list of outputs is made while the decisions come, in their order. A layer whose outputs the next layers read has the list
// of inputs made in the order of the slots in which its channels lie, a channel a cycle, while it runs itself.
`default_nettype none

module engine_masks #(
    parameter int unsigned CHANNELS = 64,  /// of a mask at most, a power of two
    localparam int unsigned AW = $clog2(CHANNELS)
) (
    input  wire        clk,
    input  wire        rst_n,
    // Of a layer, as wide as its descriptor's; a mask has CHANNELS.
    // verilator lint_off UNUSEDSIGNAL
    input  wire [8:0]  out_count,      /// of the gate, or of the layer whose outputs are listed as inputs
    input  wire [8:0]  decision_index,
    input  wire [1:0][8:0] out_at,     /// positions in the list of outputs
    input  wire [8:0]  in_at,
    // verilator lint_on UNUSEDSIGNAL
    input  wire        gate_start,     /// a channel gate begins
    input  wire        decision_valid,
    input  wire        decision,
    input  wire        list_start,     /// the layer has begun; its outputs will be inputs
    input  wire [2:0]  shuffle,        /// of that layer
    output wire        busy,           /// the list of inputs is not complete
    output wire [1:0][8:0] out_channel,
    output wire [8:0]  in_channel,
    input  wire [1:0][4:0] bound,      /// of a group, in sixteenths
    output wire [1:0][9:0] outs_below,
    output wire [1:0][9:0] ins_below,
    output wire [15:0] any_out
);
    (* ram_style = "distributed" *) logic mask[CHANNELS];
    always_ff @(posedge clk) if (decision_valid) mask[decision_index[AW-1:0]] <= decision;

    wire [1:0][AW-1:0] out_entry;
    wire [1:0][AW:0]   out_count_below, in_count_below;
    engine_list #(.CHANNELS(CHANNELS)) outputs (
        .clk, .clear(gate_start), .valid(decision_valid), .channel(decision_index[AW-1:0]), .keep(decision),
        .sixteenth(6'(out_count >> 4)), .at({out_at[1][AW-1:0], out_at[0][AW-1:0]}), .entry(out_entry), .bound,
        .below(out_count_below), .any(any_out)
    );

    // Slot b * 16 + a holds channel a * n + b, n = channels / 16 = 2^shuffle.
    logic [AW-1:0] slot, last_slot, kept_slot;
    logic [5:0]    sixteenth;
    logic          scans, clear, kept_valid, kept;
    // verilator lint_off UNUSEDSIGNAL
    wire  [8:0]    last_channel = out_count - 9'd1;
    // verilator lint_on UNUSEDSIGNAL
    logic [2:0]    shift;
    wire  [AW-1:0] channel = (shift == 3'd0) ? slot : (AW'(slot[3:0]) << shift) | (slot >> 4);
    // The second port is not used, nor which sixteenths have entries.
    // verilator lint_off UNUSEDSIGNAL
    wire [1:0][AW-1:0] in_entry;
    wire [15:0]        any_in;
    // verilator lint_on UNUSEDSIGNAL
    engine_list #(.CHANNELS(CHANNELS)) inputs (
        .clk, .clear, .valid(kept_valid), .channel(kept_slot), .keep(kept), .sixteenth,
        .at({2{in_at[AW-1:0]}}), .entry(in_entry), .bound, .below(in_count_below), .any(any_in)
    );
    always_ff @(posedge clk) begin
        if (list_start) begin
            slot <= '0;
            last_slot <= last_channel[AW-1:0];
            sixteenth <= 6'(out_count >> 4);
            shift <= shuffle;
        end else if (scans) slot <= slot + 1'b1;
        if (!rst_n) scans <= 1'b0;
        else if (list_start) scans <= 1'b1;
        else if (slot == last_slot) scans <= 1'b0;
        clear <= list_start;
        kept_valid <= rst_n && scans;
        kept_slot <= slot;
        kept <= mask[channel];
    end
    assign busy = scans || kept_valid;

    assign in_channel = 9'(in_entry[0]);
    for (genvar i = 0; i < 2; i++) begin : port
        assign out_channel[i] = 9'(out_entry[i]);
        assign outs_below[i] = 10'(out_count_below[i]);
        assign ins_below[i] = 10'(in_count_below[i]);
    end

    if (CHANNELS < 16 || CHANNELS > 512 || CHANNELS != 2 ** $clog2(CHANNELS)) begin : bad_channels
        $error("engine_masks: CHANNELS must be a power of two from 16 to 512");
    end
endmodule

`default_nettype wire
