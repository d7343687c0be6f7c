// Sigmoid of the LSTM of layer gates and of squeeze-and-excitation, in units of 1/256: lines whose slopes are powers of two
// (flow/graph/lstm.py). Two cycles.
`default_nettype none

module engine_sigmoid (
    input  wire                clk,
    input  wire  signed [16:0] x,
    output logic [8:0]         made
);
    logic        negative;
    logic [16:0] size;
    logic [8:0]  line;
    always_comb
        if (size >= 17'd1280) line = 9'd256;
        else if (size >= 17'd608) line = 9'd216 + {3'd0, size[10:5]};
        else if (size >= 17'd256) line = 9'd160 + {2'd0, size[9:3]};
        else line = 9'd128 + {3'd0, size[7:2]};
    always_ff @(posedge clk) begin
        negative <= x[16];
        size <= x[16] ? -x : x;
        made <= negative ? 9'd256 - line : line;
    end
endmodule

`default_nettype wire
