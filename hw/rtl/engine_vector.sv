// The vector unit: a fully connected layer over pooled sums, V products per cycle, and its arg-max.
//
// start, then outputs * ceil(inputs / V) cycles and a short drain; `done` pulses with the last logit written. Logits
// are exact integers: sum of weight * input, plus bias. Ties of the arg-max go to the lowest index.
`default_nettype none

module engine_vector
#(
    parameter int unsigned V          = 16,
    parameter int unsigned DEPTH      = 64,  /// words of V weights
    parameter int unsigned POOL_DEPTH = 4,   /// words of V inputs
    parameter int unsigned CLASSES    = 10,  /// biases
    parameter int unsigned POOL_WIDTH = 10   /// bits of an input, unsigned
) (
    input  wire                            clk,
    input  wire                            rst_n,
    input  wire                            start,
    input  wire  [8:0]                     in_count,
    input  wire  [8:0]                     out_count,
    // As wide as a descriptor's address; the memory has DEPTH words.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  [16:0]                    weight_base,
    // verilator lint_on UNUSEDSIGNAL
    input  wire  [14:0]                    bias_base,
    output logic [$clog2(POOL_DEPTH)-1:0]  pool_addr,
    input  wire  [V-1:0][POOL_WIDTH-1:0]   pool_data,   /// one cycle after pool_addr
    output logic                           logit_valid,
    output logic [8:0]                     logit_index,
    output logic signed [31:0]             logit,
    output logic [8:0]                     best,        /// arg-max, valid with done
    output logic                           done
);
    localparam int unsigned AW = $clog2(DEPTH), LV = $clog2(V), BW = $clog2(CLASSES);
    logic [31:0] biases[CLASSES];
    initial $readmemh("fc_bias.mem", biases);

    // Cycle 0: addresses.
    logic          running;
    logic [AW-1:0] weight_addr;
    logic [8:0]    word, out;
    wire  [8:0]    words = (in_count + 9'(V - 1)) >> LV;
    wire           last_word = word + 9'd1 == words;
    wire           last_out = out + 9'd1 == out_count;
    always_ff @(posedge clk) begin
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
    assign pool_addr = word[$clog2(POOL_DEPTH)-1:0];
    wire [V*8-1:0] weight_word;
    engine_rom #(.DEPTH(DEPTH), .WIDTH(V * 8), .FILE("fc_weights.mem")) weights (.clk, .addr(weight_addr), .data(weight_word));

    // Cycle 1: operands. Cycle 2: products. Cycle 3: their sum. Cycle 4: logit.
    typedef struct packed {
        logic       valid;
        logic       first;
        logic       last;
        logic       final_out;
        logic [8:0] out;
    } step_t;
    // The last step looks at less than the ones before it.
    // verilator lint_off UNUSEDSIGNAL
    step_t step1, step2, step3, step4;
    // verilator lint_on UNUSEDSIGNAL
    logic signed [V-1:0][POOL_WIDTH+8:0] product;
    logic signed [31:0] sum, acc, total;
    logic [31:0] bias;
    always_comb begin
        total = '0;
        for (int unsigned v = 0; v < V; v++) total += 32'($signed(product[v]));
    end
    // As wide as a descriptor's address; there are CLASSES biases.
    // verilator lint_off UNUSEDSIGNAL
    wire [14:0] bias_addr = bias_base + 15'(step2.out);
    // verilator lint_on UNUSEDSIGNAL
    wire signed [31:0] value = (step3.first ? $signed(bias) : acc) + sum;
    always_ff @(posedge clk) begin
        step1 <= '{valid: running, first: word == '0, last: last_word, final_out: last_out, out: out};
        step2 <= step1;
        step3 <= step2;
        step4 <= step3;
        if (!rst_n) begin
            step1.valid <= 1'b0;
            step2.valid <= 1'b0;
            step3.valid <= 1'b0;
            step4.valid <= 1'b0;
        end
        for (int unsigned v = 0; v < V; v++)
            product[v] <= $signed(weight_word[8*v+:8]) * $signed({1'b0, pool_data[v]});
        sum <= total;
        bias <= biases[bias_addr[BW-1:0]];
        if (step3.valid) acc <= value;
    end
    assign logit_valid = step4.valid && step4.last;
    assign logit_index = step4.out;
    assign logit = acc;

    logic signed [31:0] best_value;
    always_ff @(posedge clk) begin
        done <= rst_n && logit_valid && step4.final_out;
        if (logit_valid && (step4.out == '0 || acc > best_value)) begin
            best_value <= acc;
            best <= step4.out;
        end
    end
endmodule

`default_nettype wire
