// A step of the LSTM of the layer gates: three products of the vector unit one after the other, without going back to the sequencer.
//
// The projection of a map's sums, the four gates of every hidden unit from (projection | hidden), and from the new hidden values the
// sum that decides. What the first two make is rescaled; projection and hidden values lie here, V to a word as the vector unit reads
// them, the hidden ones twice: those of this step are made while those of the last one are read. They live for a frame.
`default_nettype none

module engine_recurrent
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned V      = 16,
    parameter int unsigned HIDDEN = 10,
    parameter int unsigned PRODUCTS = 3,  /// entries of the constants' table: of the gates, of the deciding sum, of each projection
    localparam int unsigned INPUTS = 2 * HIDDEN, WORDS = (INPUTS + V - 1) / V,
    localparam int unsigned AW = (WORDS == 1) ? 1 : $clog2(WORDS), LV = $clog2(V), UW = $clog2(HIDDEN)
) (
    input  wire                 clk,
    input  wire                 rst_n,
    input  wire                 finish,       /// the frame ends
    // A descriptor's fields have several users, and so has what is loaded.
    // verilator lint_off UNUSEDSIGNAL
    input  wire load_t          load,
    input  descriptor_t         layer,
    // verilator lint_on UNUSEDSIGNAL
    input  wire                 start,        /// of any layer of the vector unit
    // vector unit
    output wire                 vector_start,
    output logic [8:0]          in_count,
    output logic [8:0]          out_count,
    output wire  [16:0]         weight_base,
    output logic [14:0]         bias_base,
    output wire                 from_state,
    // As wide as inputs are counted.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  [8:0]          word,
    // verilator lint_on UNUSEDSIGNAL
    output logic [V-1:0][15:0]  state,        /// one cycle after word
    input  wire                 logit_valid,
    input  wire  [8:0]          logit_index,
    input  wire  signed [31:0]  logit,
    input  wire                 vector_done,
    output wire                 decides       /// what the vector unit makes is the layer's result
);
    typedef enum logic [1:0] {PROJECT, GATES, OUTPUT} phase_e;
    phase_e phase;
    logic   next;
    products_t now;
    engine_products #(.PRODUCTS(PRODUCTS)) constants (
        .clk, .load, .entry((phase == PROJECT) ? layer.dst_base : (phase == GATES) ? 8'd0 : 8'd1), .now
    );
    logic [14:0] multiplier;
    logic [5:0]  shift;

    wire value_valid, made;
    wire [8:0] value_index;
    wire signed [15:0] value;
    wire [UW-1:0] unit;
    wire signed [9:0] hidden;
    wire projected = value_valid && phase == PROJECT && value_index == 9'(HIDDEN - 1);
    wire stepped = made && unit == UW'(HIDDEN - 1);

    assign decides = !layer.recurrent || phase == OUTPUT;
    assign vector_start = start || next;
    assign weight_base = layer.recurrent ? now.weight_base : layer.weight_base;
    assign from_state = phase != PROJECT;
    always_comb
        case (phase)
            GATES: {in_count, out_count} = {9'(INPUTS), 9'(4 * HIDDEN)};
            OUTPUT: {in_count, out_count} = {9'(INPUTS), 9'd1};
            default: {in_count, out_count} = {layer.in_count, layer.out_count};
        endcase
    always_ff @(posedge clk) begin
        bias_base <= decides ? layer.requant_base : now.bias_base;
        multiplier <= now.multiplier;
        shift <= now.shift;
        next <= rst_n && (projected || stepped);
        if (!rst_n || (phase == OUTPUT && vector_done)) phase <= PROJECT;
        else if (projected) phase <= GATES;
        else if (stepped) phase <= OUTPUT;
    end

    engine_rescale rescale (
        .clk, .rst_n, .valid(logit_valid && !decides), .index(logit_index), .sum(logit), .multiplier, .shift,
        .value_valid, .value_index, .value
    );

    // Zeros at a frame's begin: since the end of the one before.
    logic          clearing;
    logic [UW-1:0] cleared;
    always_ff @(posedge clk)
        if (!rst_n || finish) begin
            clearing <= 1'b1;
            cleared <= '0;
        end else if (clearing) begin
            clearing <= cleared != UW'(HIDDEN - 1);
            cleared <= cleared + 1'b1;
        end
    engine_cell #(.HIDDEN(HIDDEN)) units (
        .clk, .rst_n, .clear(clearing), .clear_unit(cleared), .valid(value_valid && phase == GATES), .index(value_index), .value,
        .made, .unit, .hidden
    );

    logic half;  // that is read
    always_ff @(posedge clk)
        if (!rst_n) half <= 1'b0;
        else if (stepped) half <= !half;
    wire        write = clearing || made || (value_valid && phase == PROJECT);
    wire  [8:0] hidden_input = 9'(HIDDEN) + (clearing ? 9'(cleared) : 9'(unit));
    wire  [8:0] place = (clearing || made) ? hidden_input : value_index;
    wire [15:0] written = clearing ? '0 : made ? 16'(hidden) : value;
    wire [AW:0] waddr = {half ^ made, AW'(place >> LV)};
    for (genvar v = 0; v < V; v++) begin : element
        (* ram_style = "distributed" *) logic [15:0] mem[2 << AW];
        always_ff @(posedge clk) begin
            if (write && place[LV-1:0] == LV'(v)) mem[waddr] <= written;
            state[v] <= mem[{half, AW'(word)}];
        end
    end

    if (HIDDEN < 2 || HIDDEN > 64) begin : bad_hidden
        $error("engine_recurrent: HIDDEN must be 2 to 64");
    end
endmodule

`default_nettype wire
