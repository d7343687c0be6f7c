// Sums become values in units of 1/256: (sum * multiplier + 2^(shift - 1)) / 2^shift, rounded down, saturated at +-32767
// (Rescale of flow/graph/lstm.py). Four cycles.
`default_nettype none

module engine_rescale (
    input  wire                clk,
    input  wire                rst_n,
    input  wire                valid,
    input  wire  [8:0]         index,
    input  wire  signed [31:0] sum,
    input  wire  [14:0]        multiplier,
    input  wire  [5:0]         shift,      /// 1 to 47
    output logic               value_valid,
    output logic [8:0]         value_index,
    output logic signed [15:0] value
);
    logic signed [46:0] product, product_q, shifted;
    logic [2:0]         on;
    logic [2:0][8:0]    at;
    logic [5:0]         less_one;
    // What is left of the shift is halved and rounded in the last step; beyond 17 bits it saturates whatever it is.
    wire         fits = shifted[46:16] == '0 || shifted[46:16] == '1;
    // verilator lint_off UNUSEDSIGNAL
    wire  [17:0] twice = {shifted[16], shifted[16:0]} + 18'd1;
    // verilator lint_on UNUSEDSIGNAL
    always_ff @(posedge clk) begin
        less_one <= shift - 6'd1;
        product <= sum * $signed({1'b0, multiplier});
        product_q <= product;
        shifted <= product_q >>> less_one;
        if (!fits || twice[17:1] == 17'h08000 || twice[17:1] == 17'h18000) value <= shifted[46] ? -16'sd32767 : 16'sd32767;
        else value <= twice[16:1];
        on <= {on[1:0], valid};
        at <= {at[1:0], index};
        value_valid <= rst_n && on[2];
        value_index <= at[2];
        if (!rst_n) on <= '0;
    end
endmodule

`default_nettype wire
