// The vector unit: a fully connected layer over pooled sums, V products per cycle, and its arg-max. Of a gate the outputs are what it
// decides by.
//
// start, then outputs * ceil(inputs / V) cycles and a short drain; `done` pulses with the last logit written. Logits
// are exact integers: sum of weight * input, plus bias. Ties of the arg-max go to the lowest index.
`default_nettype none

module engine_vector
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned V          = 16,
    parameter int unsigned DEPTH      = 64,  /// words of V weights
    parameter int unsigned POOL_DEPTH = 4,   /// words of V inputs
    parameter int unsigned BIASES     = 10,
    parameter int unsigned POOL_WIDTH = 10,  /// bits of an input, unsigned
    parameter bit          MARGIN     = 0,   /// the margin of the best logit is wanted
    parameter bit          STATE      = 0,   /// inputs may come from the state of an LSTM too
    localparam int unsigned INPUT_WIDTH = STATE ? 16 : POOL_WIDTH + 1  // signed
) (
    input  wire                            clk,
    input  wire                            rst_n,
    // Of which the memories here look at a part.
    // verilator lint_off UNUSEDSIGNAL
    input  wire load_t                     load,
    // verilator lint_on UNUSEDSIGNAL
    input  wire                            start,
    input  wire  [8:0]                     in_count,
    input  wire  [8:0]                     out_count,
    // As wide as a descriptor's address; the memory has DEPTH words.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  [16:0]                    weight_base,
    // verilator lint_on UNUSEDSIGNAL
    input  wire  [14:0]                    bias_base,
    // As wide as a descriptor's; the sums have POOL_DEPTH words.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  [6:0]                     pool_base,   /// first word of the inputs
    // verilator lint_on UNUSEDSIGNAL
    output logic [$clog2(POOL_DEPTH)-1:0]  pool_addr,
    input  wire  [V-1:0][POOL_WIDTH-1:0]   pool_data,   /// one cycle after pool_addr
    // For the state alone.
    // verilator lint_off UNUSEDSIGNAL
    input  wire                            from_state,
    input  wire  [V-1:0][15:0]             state,       /// signed, one cycle after word
    // verilator lint_on UNUSEDSIGNAL
    output logic [8:0]                     word,        /// of the inputs
    output logic                           logit_valid,
    output logic [8:0]                     logit_index,
    output logic signed [31:0]             logit,
    output logic [8:0]                     best,        /// arg-max, valid with done
    output logic [31:0]                    margin,      /// of the best logit over the second, valid two cycles after done
    output logic                           done
);
    localparam int unsigned AW = $clog2(DEPTH), LV = $clog2(V), PW = $clog2(POOL_DEPTH), BW = $clog2(BIASES);

    // Cycle 0: addresses.
    logic          running;
    logic [AW-1:0] weight_addr;
    logic [8:0]    out;
    logic [8:0]    words_less, outs_less;  // less one; the counts stand still from the start on
    wire           last_word = word == words_less;
    wire           last_out = out == outs_less;
    always_ff @(posedge clk) begin
        words_less <= (in_count - 9'd1) >> LV;
        outs_less <= out_count - 9'd1;
        if (!rst_n) running <= 1'b0;
        else if (start) running <= 1'b1;
        else if (last_word && last_out) running <= 1'b0;
        if (start) begin
            weight_addr <= AW'(weight_base);
            word <= '0;
            out <= '0;
        end else if (running) begin
            weight_addr <= weight_addr + 1'b1;
            word <= last_word ? '0 : word + 9'd1;
            if (last_word) out <= out + 9'd1;
        end
    end
    assign pool_addr = PW'(pool_base) + word[PW-1:0];
    wire [V*8-1:0] weight_word;
    // Of the beats that a word of weights has.
    // verilator lint_off UNUSEDSIGNAL
    wire [(V*8+63)/64*64-1:0] weight_loaded = load.beats[3-:(V*8+63)/64];
    // verilator lint_on UNUSEDSIGNAL
    engine_ram #(.DEPTH(DEPTH), .WIDTH(V * 8)) weights (
        .clk, .we(load.write[MEMORY_FC_WEIGHTS]), .waddr(load.addr[AW-1:0]), .wdata(weight_loaded[V*8-1:0]),
        .addr(weight_addr), .data(weight_word));

    // Cycle 1: operands, from their memories. Cycle 2: operands again, at the products. Cycles 3 and 4: products, in the two registers behind a DSP48's multiplier; the sum stays out of its
    // cascade. Cycle 5: sums of four. Cycle 6: their sum. Cycle 7: logit.
    typedef struct packed {
        logic       valid;
        logic       first;
        logic       last;
        logic       final_out;
        logic [8:0] out;
    } step_t;
    localparam int unsigned STEPS = 7, FOURS = (V + 3) / 4;
    // The last step looks at less than the ones before it.
    // verilator lint_off UNUSEDSIGNAL
    step_t [STEPS:1] steps;
    // verilator lint_on UNUSEDSIGNAL
    logic [V*8-1:0]             weight_q;
    logic signed [V-1:0][INPUT_WIDTH-1:0] input_q;
    logic signed [V-1:0][INPUT_WIDTH+7:0] product, product_q;
    logic signed [FOURS-1:0][INPUT_WIDTH+9:0] four, four_q;
    logic signed [31:0] sum, acc, total;
    wire [31:0] bias;
    always_comb begin
        four = '0;
        total = '0;
        for (int unsigned v = 0; v < V; v++) four[v/4] = four[v/4] + (INPUT_WIDTH + 10)'($signed(product_q[v]));
        for (int unsigned f = 0; f < FOURS; f++) total += 32'($signed(four_q[f]));
    end
    // As wide as a descriptor's address; there are BIASES.
    // verilator lint_off UNUSEDSIGNAL
    wire [14:0] bias_addr = bias_base + 15'(steps[5].out);
    // verilator lint_on UNUSEDSIGNAL
    engine_ram #(.DEPTH(BIASES), .WIDTH(32)) biases (
        .clk, .we(load.write[MEMORY_FC_BIAS]), .waddr(load.addr[BW-1:0]), .wdata(load.beats[3][31:0]), .addr(bias_addr[BW-1:0]), .data(bias));
    wire signed [31:0] value = (steps[6].first ? $signed(bias) : acc) + sum;
    always_ff @(posedge clk) begin
        steps[1] <= '{valid: running, first: word == '0, last: last_word, final_out: last_out, out: out};
        steps[STEPS:2] <= steps[STEPS-1:1];
        if (!rst_n) for (int unsigned s = 1; s <= STEPS; s++) steps[s].valid <= 1'b0;
        weight_q <= weight_word;
        for (int unsigned v = 0; v < V; v++) begin
            input_q[v] <= (STATE && from_state) ? INPUT_WIDTH'(state[v]) : INPUT_WIDTH'(pool_data[v]);
            product[v] <= $signed(weight_q[8*v+:8]) * $signed(input_q[v]);
        end
        product_q <= product;
        four_q <= four;
        sum <= total;
        if (steps[6].valid) acc <= value;
    end

    // Logits leave with their flags in registers.
    logic first_out, final_out;
    always_ff @(posedge clk) begin
        logit_valid <= rst_n && steps[6].valid && steps[6].last;
        first_out <= steps[6].out == '0;
        final_out <= steps[6].final_out;
    end
    assign logit_index = steps[7].out;
    assign logit = acc;

    logic signed [31:0] best_value;
    always_ff @(posedge clk) begin
        done <= rst_n && logit_valid && final_out;
        if (logit_valid && (first_out || acc > best_value)) begin
            best_value <= acc;
            best <= logit_index;
        end
    end

    if (MARGIN) begin : margins
        // The second is the best of those that lost against the best so far.
        localparam logic signed [31:0] LEAST = 32'sh8000_0000;
        logic signed [31:0] loser, second;
        logic               alone;
        always_ff @(posedge clk) begin
            if (logit_valid) begin
                alone <= first_out;
                loser <= (acc > best_value) ? best_value : acc;
            end
            if (alone) second <= LEAST;
            else if (loser > second) second <= loser;
            margin <= best_value - second;
        end
    end else begin : no_margins
        assign margin = '0;
    end
endmodule

`default_nettype wire
